import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { MAX_LOG_BYTES } from './limits.ts';
import { lastLines, LogFile } from './log-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-log-'));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  { text: 'a\nb\nc\n', count: 2, want: 'b\nc\n' },
  { text: 'a\nb\nc', count: 2, want: 'b\nc' },
  { text: 'a\n', count: 5, want: 'a\n' },
  { text: 'a\nb\n', count: 0, want: '' },
  { text: '', count: 1, want: '' },
])('the last $count lines of $text', ({ text, count, want }) => {
  expect(lastLines(Buffer.from(text), count).toString()).toBe(want);
});

test('a file is bounded, followed, and silent once closed', () => {
  const log = new LogFile(join(folder, 'sub', 'one.log'));
  const seen: string[] = [];
  const following = log.follow((chunk) => seen.push(chunk.toString()));
  log.append(Buffer.from('hello\n'));
  following[Symbol.dispose]();
  expect([seen, log.read().toString()]).toEqual([['hello\n'], 'hello\n']);
  for (let i = 0; i < 5; i++) log.append(Buffer.alloc(MAX_LOG_BYTES / 2, i));
  expect(statSync(log.path).size).toBeLessThanOrEqual(MAX_LOG_BYTES);
  expect(log.read().length).toBeLessThanOrEqual(2 * MAX_LOG_BYTES);
  log.close();
  log.append(Buffer.from('more'));
  expect(log.read().toString()).not.toContain('more');
});
