import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { EndedLogs } from './ended-logs.ts';
import { MAX_ENDED_LOGS } from './limits.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-ended-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('the newest are kept, of those that printed something', () => {
  const logs = new EndedLogs(folder);
  const owner = { namespace: 'shop', container: 'main', node: 'node-a' };
  logs.keep({ ...owner, pod: 'silent', uid: 'silent', text: Buffer.alloc(0) });
  for (let i = 0; i <= MAX_ENDED_LOGS; i++)
    logs.keep({ ...owner, pod: `web-${i}`, uid: `uid-${i}`, text: Buffer.from(`this is ${i}\n`) });
  const all = logs.all();
  expect([all.length, readdirSync(folder).length]).toEqual([MAX_ENDED_LOGS, MAX_ENDED_LOGS]);
  expect(all[0]).toEqual({ ...owner, pod: 'web-1', uid: 'uid-1', text: Buffer.from('this is 1\n') });
});
