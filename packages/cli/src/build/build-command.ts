/** Makes the command one file of plain JavaScript that carries its manifests: what a release brings and `npx` runs. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from '@ambit/core/build/bundle';
import { shipped } from '../install/shipped.ts';

const MAIN = new URL('../main.ts', import.meta.url).pathname;
const EXECUTABLE_MODE = 0o755;

/** @returns the path of the file, `ambit.mjs` in `folder`, which is made if missing. It runs under Node 26 or later. */
export async function buildCommand(folder: string): Promise<string> {
  await bundle({ ambit: MAIN }, folder, { AMBIT_SHIPPED: await shipped() }, 'one file');
  const path = join(folder, 'ambit.mjs');
  chmodSync(path, EXECUTABLE_MODE);
  return path;
}
