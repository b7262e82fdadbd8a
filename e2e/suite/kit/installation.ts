/** The installation under test with other values, and as it was. */
import { expect } from '@jest/globals';
import { runAmbit } from './ambit.ts';
import type { Suite } from './suite.ts';

/** As a user would, with the images under test; resolves when all of it is ready. */
export async function install(suite: Suite, ...sets: readonly string[]): Promise<void> {
  const { hub, tag } = suite.cluster.file.images;
  const values = [`global.hub=${hub}`, `global.tag=${tag}`, ...sets].flatMap((set) => ['--set', set]);
  const { status, text } = await runAmbit(suite.cluster, 'install', '--yes', '--timeout', '150s', ...values);
  expect([status, text]).toEqual([0, expect.anything()]);
}

/** With `value` turned on; turned off again when the suite ends. */
export async function installWith(suite: Suite, value: string): Promise<void> {
  suite.atEnd(() => install(suite, `${value}=false`));
  await install(suite, `${value}=true`);
}
