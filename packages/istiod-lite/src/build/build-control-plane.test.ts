import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { afterAll, expect, test } from '@jest/globals';
import { buildControlPlane } from './build-control-plane.ts';

const cache = new URL('../../../../node_modules/.cache/ambit/', import.meta.url).pathname;
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(`${cache}istiod-`);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the bundle runs as far as a missing cluster lets it', async () => {
  const { main } = await buildControlPlane(folder);
  const env = { ...process.env, KUBECONFIG: `${folder}/missing` };
  const { status, stderr } = spawnSync(process.execPath, [main], { encoding: 'utf8', env });
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: `istiod: there is no kubeconfig ${folder}/missing\n`,
  });
});
