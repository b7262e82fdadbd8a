import { describe, expect, test } from '@jest/globals';
import { StaticCollection } from '@ambit/collections/static';
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
  const followed: Followed[] = [];
  const objects = new ReferencedObjects<KubeObject>({
    name: 'objects',
    references: wanted,
    follow: () => {
      const one = new Followed({ name: 'followed', synced: false });
      followed.push(one);
      return one;
    },
  });
  const shown = () => Object.fromEntries([...objects.entries()].map(([key, { object }]) => [key, object]));
  return { wanted, followed, objects, shown };
}
const A: KubeObject = { metadata: { name: 'a' } };

describe('ReferencedObjects', () => {
  test('nothing is followed while nobody refers to anything', () => {
    const { followed, objects } = setup([]);
    expect(followed).toHaveLength(0);
    expect(objects.synced.value).toBe(true);
  });

  test('what is referred to is not known before all are, and then also what does not exist', () => {
    const { followed, objects, shown } = setup(['a', 'b']);
    followed[0]?.set('a', A);
    expect(shown()).toEqual({});
    expect(objects.synced.value).toBe(false);
    followed[0]?.sync();
    expect(shown()).toEqual({ a: A, b: undefined });
    expect([...objects.keys()]).toEqual(['a', 'b']);
    expect(objects.synced.value).toBe(true);
  });

  test('nothing is in sync before the references are', () => {
    const { wanted, objects } = setup([], false);
    expect(objects.synced.value).toBe(false);
    wanted.sync();
    expect(objects.synced.value).toBe(true);
  });

  test('changes of objects and of references are told, others are not', () => {
    const { wanted, followed, objects } = setup(['a']);
    const told: string[] = [];
    followed[0]?.sync();
    objects.subscribe((events) =>
      told.push(...events.map(({ key, value }) => `${key} ${value?.object?.metadata.name}`)),
    );
    followed[0]?.set('a', A);
    followed[0]?.set('c', A);
    wanted.set('c', true);
    followed[0]?.delete('a');
    wanted.delete('a');
    expect(told).toEqual(['a a', 'c a', 'a undefined', 'a undefined']);
    expect([...objects.keys()]).toEqual(['c']);
  });

  test('following ends with the last reference, and begins anew with the next', async () => {
    const { wanted, followed, objects, shown } = setup(['a']);
    followed[0]?.sync();
    wanted.delete('a');
    followed[0]?.set('a', A);
    expect([...objects.keys()]).toEqual([]);
    wanted.set('b', true);
    expect(followed).toHaveLength(2);
    expect([...objects.keys()]).toEqual([]);
    followed[1]?.sync();
    expect(shown()).toEqual({ b: undefined });
    await objects[Symbol.asyncDispose]();
    expect(followed.map(({ isStopped }) => isStopped)).toEqual([true, true]);
  });

  test('disposing of it ends what is followed', async () => {
    const { followed, objects } = setup(['a']);
    await objects[Symbol.asyncDispose]();
    expect(followed[0]?.isStopped).toBe(true);
  });
});
