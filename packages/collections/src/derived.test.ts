import { describe, expect, test } from '@jest/globals';
import { DerivedCollection, derivedValues } from './derived.ts';
import { IndexCollection } from './index-by.ts';
import { Scheduler } from './scheduler.ts';
import { StaticCollection } from './static.ts';
import { collectionContract } from './testing/contract.ts';

const makeScheduler = (errors: string[] = []) =>
  new Scheduler({
    defer: () => undefined,
    onError: (name, key, error) => errors.push(`${name}/${key}: ${error}`),
  });

collectionContract('derived', () => {
  const scheduler = makeScheduler();
  const from = new StaticCollection<string, string>({ name: 'from' });
  const collection = derivedValues({ name: 'derived', scheduler, from, compute: (value) => value });
  return { collection, change: (changes) => from.apply(changes), settle: () => scheduler.flush() };
});

interface Pod {
  readonly node: string;
  readonly labels: string;
}

describe('DerivedCollection', () => {
  test('computes nothing before every input is synced', () => {
    const scheduler = makeScheduler();
    const nodes = new StaticCollection<string, string>({ name: 'nodes', synced: false });
    const from = new StaticCollection({ name: 'from', initial: [['a', 'n']] });
    const collection = derivedValues({
      name: 'derived',
      scheduler,
      from,
      inputs: [nodes],
      compute: (value, _, fetch) => fetch.get(nodes, value),
    });
    scheduler.flush();
    expect(collection.synced.value).toBe(false);
    nodes.set('n', 'zone');
    nodes.sync();
    scheduler.flush();
    expect(collection.synced.value).toBe(true);
    expect(collection.get('a')).toBe('zone');
  });

  test('runs again for those alone that looked at the changed key, present or not', () => {
    const scheduler = makeScheduler();
    const nodes = new StaticCollection({ name: 'nodes', initial: [['n1', 'zone-1']] });
    const pods = new StaticCollection<string, Pod>({ name: 'pods' });
    const computed: string[] = [];
    const collection = derivedValues({
      name: 'derived',
      scheduler,
      from: pods,
      inputs: [nodes],
      compute: (pod, key, fetch) => {
        computed.push(key);
        return fetch.get(nodes, pod.node) ?? 'unknown';
      },
    });
    pods.set('a', { node: 'n1', labels: '' });
    pods.set('b', { node: 'n2', labels: '' });
    scheduler.flush();
    expect(Object.fromEntries(collection.entries())).toEqual({ a: 'zone-1', b: 'unknown' });
    computed.length = 0;
    nodes.set('n2', 'zone-2');
    scheduler.flush();
    expect(computed).toEqual(['b']);
    expect(collection.get('b')).toBe('zone-2');
    pods.set('b', { node: 'n1', labels: '' });
    scheduler.flush();
    computed.length = 0;
    nodes.set('n2', 'zone-3');
    scheduler.flush();
    expect(computed).toEqual([]);
  });

  test('a filtered look is disturbed only by what passes the filter', () => {
    const scheduler = makeScheduler();
    const services = new StaticCollection<string, string>({
      name: 'services',
      initial: [['web', 'app=web']],
    });
    const everywhere = new IndexCollection({ name: 'all', scheduler, from: services, keysOf: () => ['ns'] });
    const pods = new StaticCollection({
      name: 'pods',
      initial: Object.entries({ a: { node: '', labels: 'app=web' }, b: { node: '', labels: 'app=db' } }),
    });
    const computed: string[] = [];
    const collection = derivedValues({
      name: 'derived',
      scheduler,
      from: pods,
      inputs: [everywhere],
      compute: (pod, key, fetch) => {
        computed.push(key);
        return fetch.where(everywhere, 'ns', (selector) => selector === pod.labels).length;
      },
    });
    scheduler.flush();
    computed.length = 0;
    services.set('db', 'app=db');
    services.set('other', 'app=other');
    scheduler.flush();
    expect(computed).toEqual(['b']);
    services.delete('web');
    scheduler.flush();
    expect(computed).toEqual(['b', 'a']);
    expect(Object.fromEntries(collection.entries())).toEqual({ a: 0, b: 1 });
  });

  test('looking at what was not named as an input is reported', () => {
    const errors: string[] = [];
    const scheduler = makeScheduler(errors);
    const other = new StaticCollection<string, string>({ name: 'other' });
    const from = new StaticCollection({ name: 'from', initial: [['a', '']] });
    derivedValues({ name: 'derived', scheduler, from, compute: (_, key, fetch) => fetch.get(other, key) });
    scheduler.flush();
    expect(errors).toEqual(['derived/a: Error: derived looks at other without naming it as an input']);
  });

  test('a computation that throws keeps its last good result', () => {
    const errors: string[] = [];
    const scheduler = makeScheduler(errors);
    const from = new StaticCollection({ name: 'from', initial: [['a', '1']] });
    const compute = (value: string) => {
      if (value === 'bad') throw new Error('bad value');
      return value;
    };
    const collection = derivedValues({ name: 'derived', scheduler, from, compute });
    scheduler.flush();
    from.set('a', 'bad');
    scheduler.flush();
    expect(collection.get('a')).toBe('1');
    expect(errors).toEqual(['derived/a: Error: bad value']);
    from.delete('a');
    scheduler.flush();
    expect(collection.size).toBe(0);
  });

  test('one value makes many entries; of two makers of a key the earlier shows, then the other', () => {
    const scheduler = makeScheduler();
    const from = new StaticCollection<string, string>({ name: 'from' });
    const collection = new DerivedCollection({
      name: 'derived',
      scheduler,
      from,
      compute: (value, key) => value.split(',').map((part) => [part, `${part} of ${key}`] as const),
    });
    from.set('a', 'x,y');
    from.set('b', 'y,z');
    scheduler.flush();
    expect(Object.fromEntries(collection.entries())).toEqual({ x: 'x of a', y: 'y of a', z: 'z of b' });
    from.set('a', 'x');
    scheduler.flush();
    expect(collection.get('y')).toBe('y of b');
    from.delete('b');
    scheduler.flush();
    expect([...collection.keys()]).toEqual(['x']);
  });

  test('two steps settle in one flush, and the second runs once', () => {
    const scheduler = makeScheduler();
    const from = new StaticCollection({ name: 'from', initial: [['a', 1]] });
    const first = derivedValues({ name: 'first', scheduler, from, compute: (value) => value + 1 });
    let runs = 0;
    const second = derivedValues({
      name: 'second',
      scheduler,
      from,
      inputs: [first],
      compute: (value, key, fetch) => {
        runs += 1;
        return value * (fetch.get(first, key) ?? 0);
      },
    });
    scheduler.flush();
    expect([runs, second.get('a')]).toEqual([1, 2]);
    from.set('a', 3);
    scheduler.flush();
    expect([runs, second.get('a')]).toEqual([2, 12]);
  });

  test('disposed of, it follows no more', () => {
    const scheduler = makeScheduler();
    const from = new StaticCollection({ name: 'from', initial: [['a', 1]] });
    const collection = derivedValues({ name: 'derived', scheduler, from, compute: (value) => value });
    scheduler.flush();
    collection[Symbol.dispose]();
    from.set('a', 2);
    scheduler.flush();
    expect(collection.get('a')).toBe(1);
  });

  test('at 10,000 pods and 1,000 services one changed pod costs one computation', () => {
    const scheduler = makeScheduler();
    const namespaceOf = (i: number) => `ns-${i % 50}`;
    const services = new StaticCollection({
      name: 'services',
      initial: Array.from(
        { length: 1_000 },
        (_, i) => [`s${i}`, { namespace: namespaceOf(i), app: i }] as const,
      ),
    });
    const byNamespace = new IndexCollection({
      name: 'services-by-namespace',
      scheduler,
      from: services,
      keysOf: (service) => [service.namespace],
    });
    const pods = new StaticCollection({
      name: 'pods',
      initial: Array.from(
        { length: 10_000 },
        (_, i) => [`p${i}`, { namespace: namespaceOf(i), app: i % 1_000 }] as const,
      ),
    });
    let computations = 0;
    const collection = derivedValues({
      name: 'workloads',
      scheduler,
      from: pods,
      inputs: [byNamespace],
      compute: (pod, _, fetch) => {
        computations += 1;
        return fetch.where(byNamespace, pod.namespace, (service) => service.app === pod.app).length;
      },
    });
    scheduler.flush();
    expect([computations, collection.size, collection.get('p1001')]).toEqual([10_000, 10_000, 1]);
    computations = 0;
    pods.set('p7', { namespace: 'ns-7', app: 57 });
    scheduler.flush();
    expect(computations).toBe(1);
    services.set('s57', { namespace: 'ns-7', app: -1 });
    scheduler.flush();
    expect(computations).toBe(1 + 11);
  });
});
