import { describe, expect, test } from '@jest/globals';
import { StaticCollection } from '@ambit/collections/static';
import { FEW_REFERENCES, MAX_FOLLOWED_REFERENCES } from './limits.ts';
import { ReferencedObjects } from './referenced-objects.ts';
import type { KubeObject } from './resource.ts';

class Followed extends StaticCollection<string, KubeObject> implements AsyncDisposable {
  isStopped = false;
  [Symbol.asyncDispose](): Promise<void> {
    this.isStopped = true;
    return Promise.resolve();
  }
}

function setup(references: readonly string[], synced = true) {
  const wanted = new StaticCollection<string, true>({
    name: 'references',
    initial: references.map((key) => [key, true]),
    synced,
  });
  /** By key, the last one; `all`. */
  const followed = new Map<string, Followed>();
  const started: string[] = [];
  const objects = new ReferencedObjects<KubeObject>({
    name: 'objects',
    references: wanted,
    mayExist: (key) => key !== 'impossible',
    follow: (key = 'all') => {
      const one = new Followed({ name: 'followed', synced: false });
      followed.set(key, one);
      started.push(key);
      return one;
    },
  });
  const shown = () => Object.fromEntries([...objects.entries()].map(([key, { object }]) => [key, object]));
  const running = () => [...followed].filter(([, { isStopped }]) => !isStopped).map(([key]) => key);
  return { wanted, followed, started, running, objects, shown };
}
const A: KubeObject = { metadata: { name: 'a' } };
const B: KubeObject = { metadata: { name: 'b' } };

describe('ReferencedObjects', () => {
  test('nothing is followed while nobody refers to anything', () => {
    const { started, objects } = setup([]);
    expect(started).toEqual([]);
    expect(objects.synced.value).toBe(true);
  });

  test('each is followed by itself, and known when it is, also that it does not exist', () => {
    const { started, followed, objects, shown } = setup(['a', 'b']);
    expect(started).toEqual(['a', 'b']);
    followed.get('a')?.set('a', A);
    expect(shown()).toEqual({});
    followed.get('a')?.sync();
    expect(shown()).toEqual({ a: A });
    expect(objects.synced.value).toBe(false);
    followed.get('b')?.sync();
    expect(shown()).toEqual({ a: A, b: undefined });
    expect(objects.synced.value).toBe(true);
  });

  test('nothing is in sync before the references are', () => {
    const { wanted, objects } = setup([], false);
    expect(objects.synced.value).toBe(false);
    wanted.sync();
    expect(objects.synced.value).toBe(true);
  });

  test('what no object can be called is known not to exist, and never followed', () => {
    const { started, followed, objects, shown, wanted } = setup(['a', 'impossible']);
    expect(started).toEqual(['a']);
    expect(shown()).toEqual({ impossible: undefined });
    followed.get('a')?.sync();
    expect(objects.synced.value).toBe(true);
    wanted.delete('impossible');
    wanted.set('impossible', true);
    expect([started, shown()]).toEqual([['a'], { a: undefined, impossible: undefined }]);
  });

  test('changes of objects and of references are told', () => {
    const { wanted, followed, objects } = setup(['a']);
    const told: string[] = [];
    followed.get('a')?.sync();
    objects.subscribe((events) =>
      told.push(...events.map(({ key, value }) => `${key} ${value?.object?.metadata.name}`)),
    );
    followed.get('a')?.set('a', A);
    wanted.set('b', true);
    followed.get('b')?.set('b', B);
    followed.get('b')?.sync();
    followed.get('a')?.delete('a');
    wanted.delete('a');
    expect(told).toEqual(['a a', 'b b', 'a undefined', 'a undefined']);
    expect([...objects.keys()]).toEqual(['b']);
  });

  test('following ends with the reference, and begins anew with the next', async () => {
    const { wanted, followed, started, running, objects, shown } = setup(['a']);
    followed.get('a')?.sync();
    wanted.delete('a');
    followed.get('a')?.set('a', A);
    expect([shown(), running()]).toEqual([{}, []]);
    wanted.set('a', true);
    expect(started).toEqual(['a', 'a']);
    expect(shown()).toEqual({});
    followed.get('a')?.sync();
    expect(shown()).toEqual({ a: undefined });
    await objects[Symbol.asyncDispose]();
    expect(running()).toEqual([]);
  });

  test('many are followed by one watch of all, few by one each again, and what is known stays known meanwhile', () => {
    const { wanted, followed, running, shown } = setup(['a']);
    followed.get('a')?.set('a', A);
    followed.get('a')?.sync();
    for (let i = 1; i <= MAX_FOLLOWED_REFERENCES; i += 1) wanted.set(`k${i}`, true);
    expect(running()).toContain('all');
    expect(running()).toContain('a');
    expect(shown()).toEqual({ a: A });
    followed.get('all')?.set('a', B);
    followed.get('all')?.sync();
    expect(running()).toEqual(['all']);
    expect(Object.keys(shown())).toHaveLength(MAX_FOLLOWED_REFERENCES + 1);
    expect(shown()['a']).toBe(B);
    for (let i = MAX_FOLLOWED_REFERENCES; i >= FEW_REFERENCES; i -= 1) wanted.delete(`k${i}`);
    expect(running()).not.toContain('all');
    expect(running()).toHaveLength(FEW_REFERENCES);
    expect(shown()['a']).toBe(B);
    followed.get('a')?.set('a', A);
    expect(shown()['a']).toBe(B);
    followed.get('a')?.sync();
    expect(shown()['a']).toBe(A);
  });

  test('disposing of it ends what is followed', async () => {
    const { running, objects } = setup(['a', 'b']);
    await objects[Symbol.asyncDispose]();
    expect(running()).toEqual([]);
  });
});
