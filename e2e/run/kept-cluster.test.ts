import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { collectLogsOf } from './kept-cluster.ts';

let folder: string;
let said: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-kept-'));
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const collect = (file: string) =>
  collectLogsOf(
    file,
    (name) => join(folder, `logs-${name}`),
    process.env,
    (line) => void said.push(line),
  );

test('a kept cluster’s logs go into a folder of its name; what cannot be had is said there', async () => {
  const file = join(folder, 'cluster.json');
  const kubeconfig = join(folder, 'none');
  const images = { hub: 'h', tag: 't' };
  writeFileSync(file, JSON.stringify({ provider: 'existing', name: 'mine', kubeconfig, images }));
  expect(await collect(file)).toBe(join(folder, 'logs-mine'));
  expect(readdirSync(join(folder, 'logs-mine')).toSorted()).toEqual([
    'events.txt',
    'objects.yaml',
    'pods',
    'pods.txt',
  ]);
  expect(said).toEqual([]);
}, 90_000);

test('a file that is not there is said', async () => {
  expect(await collect(join(folder, 'none.json'))).toBeUndefined();
  expect(said).toEqual([expect.stringMatching(/^logs: .*none\.json/)]);
});
