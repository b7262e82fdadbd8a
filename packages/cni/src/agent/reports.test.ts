import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { NetnsReports } from './reports.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-reports-'));
  path = join(folder, 'ambit-pods.json');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () => new NetnsReports(path, silentLogger);
const report = (name: string) => ({ path: `/host/var/run/netns/${name}`, containerId: name });

test('what was reported outlives the agent', () => {
  const reports = open();
  reports.set('u1', report('a'));
  reports.set('u2', report('b'));
  reports.set('u1', report('c'));
  expect([open().get('u1'), open().get('u2'), open().get('u3')]).toEqual([
    report('c'),
    report('b'),
    undefined,
  ]);
  reports.delete('u2');
  expect(open().get('u2')).toBeUndefined();
});

test('containers that the runtime has ended are forgotten', () => {
  const reports = open();
  for (const [uid, name] of [
    ['u1', 'a'],
    ['u2', 'b'],
    ['u3', 'c'],
  ] as const)
    reports.set(uid, report(name));
  reports.deleteContainer('a');
  reports.keepContainers(new Set(['c', 'z']));
  expect(['u1', 'u2', 'u3'].map((uid) => open().get(uid))).toEqual([undefined, undefined, report('c')]);
});

test.each(['', '{', '[]', 'null', '{"u1":7,"u2":{"path":1,"containerId":"a"}}'])(
  'a damaged file is as good as none: %j',
  (text) => {
    writeFileSync(path, text);
    expect([open().get('u1'), open().get('u2')]).toEqual([undefined, undefined]);
  },
);

test('a folder that cannot be written to is survived', () => {
  const reports = new NetnsReports(join(folder, 'missing', 'x'), silentLogger);
  reports.set('u1', report('a'));
  expect(reports.get('u1')).toEqual(report('a'));
});
