import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { buildProxy } from './build-proxy.ts';

const cache = new URL('../../../../node_modules/.cache/ambit/', import.meta.url).pathname;
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'ztunnel-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a file of the bundle cannot be loaded without. */
function textsOf(path: string, seen = new Map<string, string>()): string {
  if (seen.has(path)) return '';
  const text = readFileSync(path, 'utf8');
  seen.set(path, text);
  for (const [, file = ''] of text.matchAll(/\b(?:from|import)"(\.[^"]+)"/g))
    textsOf(join(dirname(path), file), seen);
  return [...seen.values()].join('\n');
}

test('a start loads no library that it does not need: for X.509, for gRPC where there is no control plane', async () => {
  const { main } = await buildProxy(folder);
  const [, process = ''] = /import\("(\.\/process-[^"]+)"\)/.exec(readFileSync(main, 'utf8')) ?? [];
  const words = ['AsnSequenceType', 'grpc.max_receive_message_length'];
  const all = readdirSync(folder)
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
  expect(words.filter((word) => !all.some((text) => text.includes(word)))).toEqual([]);
  const texts = [textsOf(join(folder, process)), textsOf(join(folder, 'worker/main.mjs'))];
  for (const text of texts) {
    expect(text.length).toBeGreaterThan(100_000);
    expect(words.filter((word) => text.includes(word))).toEqual([]);
  }
});

test('the bundle runs, and has a worker beside it', async () => {
  const { main } = await buildProxy(folder);
  expect(execFileSync(process.execPath, [main, 'version'], { encoding: 'utf8' })).toMatch(/^ambit ztunnel /);
  expect(statSync(join(folder, 'worker/main.mjs')).size).toBeGreaterThan(10_000);
});
