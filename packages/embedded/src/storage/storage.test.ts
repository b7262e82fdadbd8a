import { appendFile, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { JsonObject } from '../json.ts';
import { type FolderLog, openFolder } from './folder.ts';
import { type Change, History } from './history.ts';
import { decodeLine, encodeLine, encodeSnapshot, readJournal, readSnapshot } from './journal-format.ts';
import { ObjectStore } from './store.ts';

const object = (name: string, more: JsonObject = {}): JsonObject => ({
  metadata: { name, uid: `uid-${name}` },
  ...more,
});

describe('ObjectStore', () => {
  test('numbers every change, and an object carries its last one', () => {
    const store = new ObjectStore({ revision: 10, objects: [] });
    expect(store.put('x', 'a', object('a'))).toMatchObject({ metadata: { resourceVersion: '11' } });
    store.put('x', 'b', object('b'));
    expect(store.put('x', 'a', object('a'))).toMatchObject({ metadata: { resourceVersion: '13' } });
    expect(store.remove('x', 'b')).toMatchObject({ metadata: { resourceVersion: '14' } });
    expect(store.list('x').map((each) => each['metadata'])).toMatchObject([{ name: 'a' }]);
    expect(store.findUid('uid-b')).toBeUndefined();
    expect(store.remove('x', 'b')).toBeUndefined();
  });

  test('a change that cannot be kept does not happen', () => {
    const seen: Change[] = [];
    const store = new ObjectStore(
      { revision: 0, objects: [] },
      {
        append: () => {
          throw new Error('disk full');
        },
      },
    );
    store.subscribe((change) => void seen.push(change));
    expect(() => store.put('x', 'a', object('a'))).toThrow('disk full');
    expect([store.revision, store.list('x'), seen]).toEqual([0, [], []]);
  });
});

describe('History', () => {
  const change = (revision: number, size = 1): Change => ({
    type: 'added',
    revision,
    resource: revision % 2 === 0 ? 'even' : 'odd',
    key: 'a',
    object: { text: 'x'.repeat(size) },
    previous: undefined,
  });

  const after = (history: History, revision: number, resource: string): readonly number[] | string => {
    const next = history.next(revision, resource);
    if (typeof next === 'string') return next === 'lost' ? next : [];
    const rest = after(history, next.revision, resource);
    return [next.revision, ...(typeof rest === 'string' ? [] : rest)];
  };

  test('tells what came after, of one resource', () => {
    const history = new History(0);
    for (let i = 1; i <= 6; i++) history.add(change(i));
    expect(after(history, 3, 'even')).toEqual([4, 6]);
    expect(after(history, 0, 'odd')).toEqual([1, 3, 5]);
    expect(after(history, 6, 'even')).toEqual([]);
  });

  test('forgets by count, and says so', () => {
    const history = new History(0, { events: 3, bytes: 1e6 });
    for (let i = 1; i <= 5; i++) history.add(change(i));
    expect(history.oldest).toBe(2);
    expect(after(history, 1, 'odd')).toBe('lost');
    expect(after(history, 2, 'odd')).toEqual([3, 5]);
  });

  test('forgets by size, but never the last', () => {
    const history = new History(0, { events: 100, bytes: 1_000 });
    for (let i = 1; i <= 5; i++) history.add(change(i, 600));
    expect(history.oldest).toBe(4);
    history.add(change(6, 5_000));
    expect(after(history, 5, 'even')).toEqual([6]);
  });

  test('stays small over very many changes', () => {
    const history = new History(0, { events: 10, bytes: 1e6 });
    for (let i = 1; i <= 10_000; i++) history.add(change(i));
    expect(history.oldest).toBe(9_990);
    expect(after(history, 9_990, 'odd')).toEqual([9_991, 9_993, 9_995, 9_997, 9_999]);
  });
});

describe('the journal', () => {
  const entry = (r: number): JsonObject => ({ r, s: 'x', k: `k${r}`, o: object(`k${r}`) });

  test('a line that is changed in one place is not whole', () => {
    const line = encodeLine(entry(1)).subarray(0, -1);
    expect(decodeLine(line)).toEqual(entry(1));
    for (let i = 0; i < line.length; i++) {
      const damaged = Buffer.from(line);
      damaged[i] = (damaged[i] ?? 0) ^ 1;
      expect(decodeLine(damaged)).toBeUndefined();
    }
  });

  test('cut off anywhere, it is what was whole before', () => {
    const lines = [1, 2, 3].map((r) => encodeLine(entry(r)));
    const data = Buffer.concat(lines);
    for (let length = 0; length <= data.length; length++) {
      const read = readJournal(data.subarray(0, length));
      const whole = lines.filter((_, i) => Buffer.concat(lines.slice(0, i + 1)).length <= length).length;
      expect(read.whole && read.values.length).toBe(whole);
    }
  });

  test('damage with whole lines after it is not taken for a cut', () => {
    const data = Buffer.concat([1, 2, 3].map((r) => encodeLine(entry(r))));
    data[12] = (data[12] ?? 0) ^ 1;
    expect(readJournal(data)).toEqual({ whole: false, at: 0 });
  });

  test('a snapshot is whole or none', () => {
    const data = Buffer.concat([...encodeSnapshot(7, [{ resource: 'x', key: 'a', object: object('a') }])]);
    expect(readSnapshot(data)).toEqual({
      revision: 7,
      objects: [{ resource: 'x', key: 'a', object: object('a') }],
    });
    for (let length = 0; length < data.length; length++)
      expect(readSnapshot(data.subarray(0, length))).toBeUndefined();
  });
});

describe('a folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'embedded-store-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const opened = (): { readonly kept: FolderLog; readonly store: ObjectStore } => {
    const kept = openFolder(folder, silentLogger);
    const store = new ObjectStore(kept, kept);
    kept.follow(store, 'always', systemClock);
    return { kept, store };
  };

  test('gives back what was stored, changed and removed', () => {
    const first = opened();
    first.store.put('x', 'a', object('a', { v: 1 }));
    first.store.put('x', 'b', object('b'));
    first.store.put('x', 'a', object('a', { v: 2 }));
    first.store.remove('x', 'b');
    first.kept[Symbol.dispose]();
    const second = opened();
    expect(second.store.list('x')).toMatchObject([{ metadata: { name: 'a', resourceVersion: '3' }, v: 2 }]);
    expect(second.store.revision).toBe(4);
    second.kept[Symbol.dispose]();
  });

  test('drops half a change at its end, and goes on', async () => {
    const first = opened();
    first.store.put('x', 'a', object('a'));
    first.store.put('x', 'b', object('b'));
    first.kept[Symbol.dispose]();
    const path = join(folder, 'journal');
    await truncate(path, (await stat(path)).size - 5);
    const second = opened();
    expect(second.store.list('x')).toHaveLength(1);
    second.store.put('x', 'c', object('c'));
    second.kept[Symbol.dispose]();
    const third = opened();
    expect(third.store.list('x').map((each) => each['metadata'])).toMatchObject([
      { name: 'a' },
      { name: 'c' },
    ]);
    third.kept[Symbol.dispose]();
  });

  test('folds a long journal into a snapshot', async () => {
    const first = opened();
    const text = 'x'.repeat(1_000_000);
    for (let i = 0; i < 20; i++) first.store.put('x', 'a', object('a', { text, i }));
    first.kept[Symbol.dispose]();
    expect((await stat(join(folder, 'journal'))).size).toBeLessThan(5_000_000);
    expect((await stat(join(folder, 'snapshot'))).size).toBeLessThan(2_000_000);
    const second = opened();
    expect(second.store.get('x', 'a')).toMatchObject({ i: 19 });
    expect(second.store.revision).toBe(20);
    second.kept[Symbol.dispose]();
  });

  test('takes no change after its disk failed, and goes on giving back what it has', async () => {
    // Takes what is written, and cannot sync it.
    await symlink('/dev/null', join(folder, 'journal'));
    const { kept, store } = opened();
    for (const name of ['a', 'b'])
      expect(() => store.put('x', name, object(name))).toThrow(/journal: the disk failed: .*fsync/);
    expect([store.list('x'), store.revision]).toEqual([[], 0]);
    kept[Symbol.dispose]();
  });

  test('finds that out soon where changes are synced in batches', async () => {
    await symlink('/dev/null', join(folder, 'journal'));
    const clock = new FakeClock();
    const kept = openFolder(folder, silentLogger);
    const store = new ObjectStore(kept, kept);
    kept.follow(store, 'batched', clock);
    store.put('x', 'a', object('a'));
    await clock.advance(100);
    expect(() => store.put('x', 'b', object('b'))).toThrow(/the disk failed/);
    expect(store.list('x')).toHaveLength(1);
    kept[Symbol.dispose]();
  });

  test('refuses damage rather than to lose what came after it', async () => {
    const first = opened();
    for (const name of ['a', 'b', 'c']) first.store.put('x', name, object(name));
    first.kept[Symbol.dispose]();
    const path = join(folder, 'journal');
    const data = await readFile(path);
    data[20] = (data[20] ?? 0) ^ 1;
    await writeFile(path, data);
    expect(() => opened()).toThrow(/journal is damaged at byte 0/);
    expect(() => opened()).toThrow(/journal is damaged/);
  });

  test('refuses a damaged snapshot', async () => {
    await writeFile(join(folder, 'snapshot'), 'nothing');
    expect(() => opened()).toThrow(/snapshot is damaged/);
  });

  test('is one process at a time, and free again after a crash', async () => {
    const first = opened();
    expect(() => opened()).toThrow(/in use by process/);
    first.kept[Symbol.dispose]();
    await writeFile(join(folder, 'lock'), '999999999 1\n');
    opened().kept[Symbol.dispose]();
    await appendFile(join(folder, 'lock'), `${process.pid} 1\n`);
    opened().kept[Symbol.dispose]();
  });
});
