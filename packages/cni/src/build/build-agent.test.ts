import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyNativePackages } from '@ambit/core/build/native-packages';
import { afterAll, expect, test } from '@jest/globals';
import { buildAgent } from './build-agent.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-agent-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the bundle runs with nothing beside it but the native packages', async () => {
  mkdirSync(join(folder, 'app'));
  const { main } = await buildAgent(join(folder, 'app'));
  copyNativePackages(new URL('../../', import.meta.url).pathname, join(folder, 'app'), process.arch);
  const { status, stderr } = spawnSync(process.execPath, [main], {
    encoding: 'utf8',
    env: { KUBECONFIG: `${folder}/missing`, NODE_NAME: 'node' },
  });
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: `Error: there is no kubeconfig ${folder}/missing\n`,
  });
});
