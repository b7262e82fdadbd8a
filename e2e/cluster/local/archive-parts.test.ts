import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { partsWithout } from './archive-parts.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-parts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const digest = (letter: string) => letter.repeat(64);

function archiveOf(name: string, blobs: Readonly<Record<string, string>>): string {
  const root = join(folder, name);
  mkdirSync(join(root, 'blobs/sha256'), { recursive: true });
  writeFileSync(join(root, 'index.json'), '{}');
  for (const [blob, text] of Object.entries(blobs)) writeFileSync(join(root, 'blobs/sha256', blob), text);
  execFileSync('tar', [
    '--sort=name',
    '--format=gnu',
    '-C',
    root,
    '-cf',
    `${root}.tar`,
    'blobs',
    'index.json',
  ]);
  return `${root}.tar`;
}

function namesIn(archive: string, known: Set<string>): readonly string[] {
  const bytes = readFileSync(archive);
  const parts = partsWithout(archive, known).map(({ startByte, endByte }) =>
    bytes.subarray(startByte, endByte),
  );
  const names = execFileSync('tar', ['-tf', '-'], { input: Buffer.concat(parts), encoding: 'utf8' });
  return names.split('\n').filter((name) => name !== '' && !name.endsWith('/'));
}

test('what an earlier archive brought is left out of the next', () => {
  const known = new Set<string>();
  const first = archiveOf('first', { [digest('a')]: 'base'.repeat(1_000), [digest('b')]: '' });
  const second = archiveOf('second', { [digest('a')]: 'base'.repeat(1_000), [digest('c')]: 'own' });
  expect(namesIn(first, known)).toEqual([
    `blobs/sha256/${digest('a')}`,
    `blobs/sha256/${digest('b')}`,
    'index.json',
  ]);
  expect(namesIn(second, known)).toEqual([`blobs/sha256/${digest('c')}`, 'index.json']);
});

test('what is no archive is handed on whole', () => {
  const file = join(folder, 'text');
  writeFileSync(file, 'no archive\n'.repeat(200));
  expect(partsWithout(file, new Set())).toEqual([{ startByte: 0, endByte: 2_200 }]);
});
