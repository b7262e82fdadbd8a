import { describe, expect, test } from '@jest/globals';
import { derivedValues } from './derived.ts';
import { dumpMermaid, dumpText, graphNodes } from './dump.ts';
import { IndexCollection } from './index-by.ts';
import { JoinedCollection } from './join.ts';
import { Scheduler } from './scheduler.ts';
import { Singleton } from './singleton.ts';
import { StaticCollection } from './static.ts';
import { collectionContract } from './testing/contract.ts';

const makeScheduler = () =>
  new Scheduler({
    defer: () => undefined,
    onError: (name, key, error) => {
      throw new Error(`${name}/${key}: ${String(error)}`);
    },
  });

collectionContract('join', () => {
  const first = new StaticCollection<string, string>({ name: 'first' });
  const second = new StaticCollection<string, string>({ name: 'second' });
  const collection = new JoinedCollection({ name: 'both', from: [first, second] });
  return { collection, change: (changes) => second.apply(changes), settle: () => undefined };
});

describe('JoinedCollection', () => {
  test('for a key of both the earlier part shows, then the other', () => {
    const first = new StaticCollection({ name: 'first', initial: [['a', 1]] });
    const second = new StaticCollection({ name: 'second', initial: Object.entries({ a: 2, b: 3 }) });
    const both = new JoinedCollection({ name: 'both', from: [first, second] });
    expect(Object.fromEntries(both.entries())).toEqual({ a: 1, b: 3 });
    first.delete('a');
    expect(both.get('a')).toBe(2);
    second.delete('a');
    expect(both.has('a')).toBe(false);
  });

  test('merges when told how, and is synced when all parts are', () => {
    const first = new StaticCollection({ name: 'first', initial: [['a', 1]] });
    const second = new StaticCollection({ name: 'second', initial: [['a', 2]], synced: false });
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const both = new JoinedCollection({ name: 'both', from: [first, second], merge: sum });
    expect(both.get('a')).toBe(3);
    expect(both.synced.value).toBe(false);
    second.sync();
    expect(both.synced.value).toBe(true);
  });
});

describe('IndexCollection', () => {
  test('groups follow their members, and an empty one is gone', () => {
    const scheduler = makeScheduler();
    const from = new StaticCollection({
      name: 'from',
      initial: Object.entries({ a: ['x'], b: ['x', 'y'], c: [] as string[] }),
    });
    const index = new IndexCollection({ name: 'index', scheduler, from, keysOf: (groups) => groups });
    scheduler.flush();
    expect(index.get('x')).toHaveLength(2);
    expect(index.synced.value).toBe(true);
    from.apply([
      ['a', ['y']],
      ['b', undefined],
    ]);
    scheduler.flush();
    expect(Object.fromEntries(index.entries())).toEqual({ y: [['y']] });
  });

  test('a member that changes within its group makes another group, in the same order', () => {
    const scheduler = makeScheduler();
    const from = new StaticCollection({ name: 'from', initial: Object.entries({ a: 1, b: 2 }) });
    const index = new IndexCollection({ name: 'index', scheduler, from, keysOf: () => ['all'] });
    scheduler.flush();
    const before = index.get('all');
    from.set('a', 3);
    scheduler.flush();
    expect(before).toEqual([1, 2]);
    expect(index.get('all')).toEqual([3, 2]);
  });
});

describe('Singleton', () => {
  test('follows its inputs, and says nothing when the value is the same', () => {
    const scheduler = makeScheduler();
    const from = new StaticCollection({ name: 'from', initial: Object.entries({ a: 1, b: 2 }) });
    const largest = new Singleton({
      name: 'largest',
      scheduler,
      inputs: [from],
      compute: () => (from.size === 0 ? undefined : Math.max(...from.values())),
    });
    scheduler.flush();
    expect(largest.value).toBe(2);
    let news = 0;
    using _ = largest.subscribe(() => (news += 1));
    from.set('a', 0);
    scheduler.flush();
    expect(news).toBe(0);
    from.replace([]);
    scheduler.flush();
    expect([news, largest.value]).toEqual([1, undefined]);
  });
});

describe('Scheduler', () => {
  test('without being asked it flushes in a microtask, once for many changes', async () => {
    const scheduler = new Scheduler({ onError: () => undefined });
    const from = new StaticCollection({ name: 'from', initial: [['a', 1]] });
    const collection = derivedValues({ name: 'derived', scheduler, from, compute: (value) => value });
    await Promise.resolve();
    let batches = 0;
    using _ = collection.subscribe(() => (batches += 1));
    from.set('a', 2);
    from.set('b', 3);
    await Promise.resolve();
    expect([batches, collection.size]).toEqual([1, 2]);
  });
});

describe('dump', () => {
  const scheduler = makeScheduler();
  const pods = new StaticCollection({ name: 'pods', initial: [['a', 1]] });
  const services = new StaticCollection({ name: 'services', synced: false });
  const workloads = derivedValues({
    name: 'workloads',
    scheduler,
    from: pods,
    inputs: [services],
    compute: (value) => value,
  });

  test('as text, inputs first', () => {
    expect(dumpText([workloads, pods])).toBe(
      'pods: 1\nservices: 0 (not synced)\nworkloads: 0 (not synced) from pods, services\n',
    );
    expect(graphNodes([workloads])).toHaveLength(3);
  });

  test('as mermaid', () => {
    expect(dumpMermaid([workloads])).toContain(
      'n1["services"]\n  n2["workloads"]\n  n0 --> n2\n  n1 --> n2\n',
    );
  });
});
