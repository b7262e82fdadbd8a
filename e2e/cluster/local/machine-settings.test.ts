import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MachineSettings } from './machine-settings.ts';

let folder: string;
let watches: string;
let restored: (readonly string[])[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-settings-'));
  watches = join(folder, 'max_user_instances');
  writeFileSync(watches, '128\n');
  restored = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const settings = () => new MachineSettings(folder, watches);
const groups = (handedOn: readonly string[] = []) => ({ prepare: () => handedOn });
const root = {
  restoreRoot: (controllers: readonly string[]) => {
    restored.push(controllers);
    return Promise.resolve();
  },
};
const now = () => readFileSync(watches, 'utf8').trim();

test('what was is put back by the last to go, also after a run that was killed', async () => {
  settings().change(groups(['cpu']));
  settings().change(groups(['memory']));
  expect(now()).toBe('4096');
  await settings().restore(root);
  expect([now(), restored]).toEqual(['128', [['cpu', 'memory']]]);
  await settings().restore(root);
  expect([now(), restored.at(-1)]).toEqual(['128', []]);
});

test.each(['1024', '8192'])('what somebody else has set to %s meanwhile stays', async (value) => {
  settings().change(groups());
  writeFileSync(watches, value);
  await settings().restore(root);
  expect(now()).toBe(value);
});

test('a machine that has enough is left as it is, and so is one whose note is damaged', async () => {
  writeFileSync(watches, '8192');
  settings().change(groups());
  await settings().restore(root);
  expect(now()).toBe('8192');
  writeFileSync(watches, '4096');
  writeFileSync(join(folder, '.max_user_instances'), '-1 ; rm');
  await settings().restore(root);
  expect(now()).toBe('4096');
});

test('what cannot be put back keeps nothing else from it, and is tried again', async () => {
  settings().change(groups(['cpu']));
  const busy = { restoreRoot: () => Promise.reject(new Error('busy')) };
  await expect(settings().restore(busy)).rejects.toThrow('busy');
  expect(now()).toBe('128');
  await settings().restore(root);
  expect(restored).toEqual([['cpu']]);
});
