import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { buildProxy } from './build-proxy.ts';

const cache = new URL('../../../../node_modules/.cache/ambit/', import.meta.url).pathname;
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'ztunnel-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the bundle runs, and has a worker beside it', async () => {
  const { main } = await buildProxy(folder);
  expect(execFileSync(process.execPath, [main, 'version'], { encoding: 'utf8' })).toMatch(/^ambit ztunnel /);
  expect(statSync(join(folder, 'worker/main.mjs')).size).toBeGreaterThan(10_000);
});
