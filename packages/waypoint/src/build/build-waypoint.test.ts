import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { buildWaypoint } from './build-waypoint.ts';

const cache = new URL('../../../../node_modules/.cache/ambit/', import.meta.url).pathname;
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'waypoint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the bundle runs', async () => {
  const { main } = await buildWaypoint(folder);
  expect(execFileSync(process.execPath, [main, 'version'], { encoding: 'utf8' })).toMatch(/^ambit waypoint /);
});
