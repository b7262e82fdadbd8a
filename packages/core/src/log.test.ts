import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { BufferedOutput, formatLogFilter, LogRoot, levelFor, parseLogFilter } from './log.ts';

function collect(format: 'plain' | 'json', filter: string) {
  const lines: string[] = [];
  const parsed = parseLogFilter(filter);
  if (!parsed) throw new Error(`bad filter ${filter}`);
  const root = new LogRoot({
    filter: parsed,
    format,
    destination: { write: (line) => void lines.push(line) },
  });
  return { root, lines };
}

describe('parseLogFilter', () => {
  test.each(['info', 'access=debug,info', 'a::b=trace,off'])('%s reads back as itself', (text) => {
    const filter = parseLogFilter(text);
    expect(filter && formatLogFilter(filter)).toBe(text);
  });
  test.each(['', 'loud', 'access:debug', 'access', 'a=b=c', 'a b=info'])('%j is refused', (text) => {
    expect(parseLogFilter(text)).toBeUndefined();
  });
});

test('the longest scope that fits decides the level', () => {
  const filter = parseLogFilter('a=warn,a::b=debug,info') ?? { base: 'off', scopes: new Map() };
  expect(['a', 'a::b::c', 'ab', 'z'].map((scope) => levelFor(filter, scope))).toEqual([
    'warn',
    'debug',
    'info',
    'info',
  ]);
});

test('plain lines have tabs between the parts and quotes around strings', () => {
  const { root, lines } = collect('plain', 'info');
  root
    .scope('access')
    .info('connection complete', { 'src.addr': '10.0.0.1:1', bytes_sent: 11, error: undefined });
  expect(lines[0]?.split('\t').slice(1)).toEqual([
    'info',
    'access',
    'connection complete',
    'src.addr="10.0.0.1:1" bytes_sent=11\n',
  ]);
});

test('a level changes while the process runs, for one scope alone', () => {
  const { root, lines } = collect('json', 'warn');
  const log = root.scope('xds').scope('client');
  log.info('unseen');
  const filter = parseLogFilter('xds=debug,warn');
  if (filter) root.filter = filter;
  log.debug('seen');
  root.scope('other').info('unseen');
  expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual(['seen']);
});

/** Writes are not waited for, nor is one that is under way at the end. */
async function hasBytes(path: string, bytes: number): Promise<void> {
  for (let tries = 0; tries < 5_000 && statSync(path).size < bytes; tries++) await sleep(5);
}

test.each([1, 8 * 1024, 64 * 1024])(
  'lines gather to %d bytes before they are written',
  async (gatherBytes) => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-log-'));
    const path = join(folder, 'lines');
    const fd = openSync(path, 'w');
    const output = new BufferedOutput({ fd, gatherBytes, maxQueuedBytes: 1024 * 1024 });
    const line = `${'x'.repeat(99)}\n`;
    output.write(line);
    if (gatherBytes > line.length) expect(readFileSync(path, 'utf8')).toBe('');
    for (let i = 1; i < 1_000; i++) output.write(line);
    output.flushSync();
    await hasBytes(path, 1_000 * line.length);
    expect(readFileSync(path, 'utf8')).toBe(line.repeat(1_000));
    expect(output.dropped).toBe(0);
    closeSync(fd);
    rmSync(folder, { recursive: true });
  },
);

test('a flush during a write takes along what gathered meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-log-'));
  const path = join(folder, 'lines');
  const fd = openSync(path, 'w');
  const gatherBytes = 1_024;
  const output = new BufferedOutput({ fd, gatherBytes, maxQueuedBytes: 1024 * 1024 });
  const long = `${'x'.repeat(gatherBytes)}\n`;
  output.write(long);
  output.write('the last words\n');
  output.flush();
  const all = `${long}the last words\n`;
  await hasBytes(path, all.length);
  expect(readFileSync(path, 'utf8')).toBe(all);
  closeSync(fd);
  rmSync(folder, { recursive: true });
});
