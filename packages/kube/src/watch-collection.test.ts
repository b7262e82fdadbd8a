import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { derivedValues } from '@ambit/collections/derived';
import { Scheduler } from '@ambit/collections/scheduler';
import { collectionContract } from '@ambit/collections/testing/contract';
import { systemClock } from '@ambit/core/clock';
import { AccessSource } from './access.ts';
import { KubeClient } from './client.ts';
import { MAX_WATCH_LINE_BYTES } from './limits.ts';
import type { KubeObject } from './resource.ts';
import { type Pod, pods } from './resources/core.ts';
import { tcpRoutes } from './resources/routes.ts';
import { authorizationPolicies } from './resources/security.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { type WatchCollection, watchCollection, type WatchCollectionOptions } from './watch-collection.ts';
import { LineSplitter } from './watch-stream.ts';

const PODS = '/api/v1/pods';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const POLICIES = '/apis/security.istio.io/v1/authorizationpolicies';
const pod = (name: string, labels: Record<string, string> = {}) => ({
  metadata: { namespace: 'ns', name, labels },
});

async function eventually(what: () => boolean): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`never came true: ${what.toString()}`);
}

/** Waits that a test need not: every delay is a hundredth. */
const hurried = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 100, signal),
};

let server: FakeApiServer;
let client: KubeClient;
let stack: AsyncDisposableStack;

const watchPods = (options: WatchCollectionOptions<Pod> = {}): WatchCollection<Pod> =>
  stack.use(watchCollection(client, pods, { clock: hurried, random: () => 0.5, ...options }));

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(new FakeApiServer());
  const access = { server: new URL(await server.start()), tls: {}, headers: {}, namespace: 'default' };
  client = stack.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
});
afterEach(() => stack.disposeAsync());

describe('watchCollection', () => {
  test('lists all pages, then follows', async () => {
    for (let i = 0; i < 1_203; i++) server.put(PODS, pod(`p${i}`));
    const collection = watchPods();
    await eventually(() => collection.synced.value);
    expect(collection.size).toBe(1_203);
    expect(server.requests.filter((request) => !request.includes('watch'))).toHaveLength(3);
    server.put(PODS, pod('new'));
    server.remove(PODS, 'ns', 'p7');
    await eventually(() => collection.has('ns/new') && !collection.has('ns/p7'));
    expect(collection.size).toBe(1_203);
  });

  test('resumes where it was after a dropped connection, without listing again', async () => {
    server.put(PODS, pod('a'));
    const collection = watchPods();
    await eventually(() => server.openWatches === 1);
    server.dropConnections();
    server.put(PODS, pod('b'));
    await eventually(() => collection.has('ns/b'));
    expect(server.requests.filter((request) => !request.includes('watch=true'))).toHaveLength(1);
  });

  test('keeps what it knows while the server is away', async () => {
    server.put(PODS, pod('a'));
    const collection = watchPods();
    await eventually(() => server.openWatches === 1);
    server.intercept = () => ({ status: 503, body: { message: 'starting' } });
    server.dropConnections();
    await eventually(() => server.requests.length > 4);
    expect([...collection.keys()]).toEqual(['ns/a']);
    server.intercept = undefined;
    server.put(PODS, pod('b'));
    await eventually(() => collection.has('ns/b'));
  });

  const tooOld: Record<string, () => void> = {
    'as an event': () => undefined,
    'as a status': () => {
      server.intercept = (method, path) => {
        server.intercept = undefined;
        return method === 'GET' && path === PODS ? { status: 410, body: { reason: 'Gone' } } : undefined;
      };
    },
  };
  test.each(Object.entries(tooOld))(
    'lists again when its version is too old (410 %s)',
    async (_, arrange) => {
      server.put(PODS, pod('gone'));
      server.put(PODS, pod('kept'));
      const collection = watchPods();
      await eventually(() => server.openWatches === 1);
      const heard: string[] = [];
      using _subscription = collection.subscribe((events) => heard.push(...events.map(({ key }) => key)));
      server.removeSilently(PODS, 'ns', 'gone');
      server.compact();
      arrange();
      server.endWatches();
      await eventually(() => !collection.has('ns/gone'));
      expect([...collection.keys()]).toEqual(['ns/kept']);
      expect(heard).toEqual(['ns/gone']);
    },
  );

  test('a bookmark moves the place to resume from', async () => {
    server.put(PODS, pod('a'));
    const collection = watchPods();
    await eventually(() => server.openWatches === 1);
    server.compact();
    server.bookmark(PODS);
    await new Promise((resolve) => setTimeout(resolve, 20));
    server.endWatches();
    await eventually(() => server.requests.filter((request) => request.includes('watch=true')).length === 2);
    expect(server.requests.filter((request) => !request.includes('watch=true'))).toHaveLength(1);
    expect(collection.size).toBe(1);
  });

  test('an event told twice is told to nobody twice', async () => {
    const stored = server.put(PODS, pod('a'));
    const collection = watchPods();
    await eventually(() => server.openWatches === 1);
    let batches = 0;
    using _ = collection.subscribe(() => (batches += 1));
    server.writeToWatches(PODS, JSON.stringify({ type: 'ADDED', object: stored }));
    server.put(PODS, pod('b'));
    await eventually(() => collection.has('ns/b'));
    expect(batches).toBe(1);
  });

  test('is not synced before a slow list is whole', async () => {
    let release: (() => void) | undefined;
    server.beforeList = () => new Promise((resolve) => (release = resolve));
    server.put(PODS, pod('a'));
    const collection = watchPods();
    await eventually(() => release !== undefined);
    expect(collection.synced.value).toBe(false);
    release?.();
    await eventually(() => collection.synced.value);
    expect(collection.size).toBe(1);
  });

  test('a kind that the server does not know is empty until it does', async () => {
    server.unknown.add(PODS);
    const collection = watchPods();
    await eventually(() => collection.synced.value);
    expect(collection.size).toBe(0);
    server.put(PODS, pod('a'));
    server.unknown.clear();
    await eventually(() => collection.size === 1);
  });

  test('a kind that is not installed is no failure that somebody should look at', async () => {
    server.unknown.add(PODS);
    const failures: string[] = [];
    const collection = watchPods({ observer: { failed: (name) => failures.push(name) } });
    await eventually(() => collection.synced.value);
    expect(failures).toEqual([]);
  });

  test('an older version is followed where the server has no other', async () => {
    const routes = '/apis/gateway.networking.k8s.io/v1alpha2/tcproutes';
    server.unknown.add(routes.replace('v1alpha2', 'v1'));
    server.put(routes, pod('a'));
    const collection = stack.use(watchCollection(client, tcpRoutes));
    await eventually(() => collection.has('ns/a'));
    server.put(routes, pod('b'));
    await eventually(() => collection.has('ns/b'));
  });

  test('an object is followed into a newer version of its kind, though nothing else of it has changed', async () => {
    const group = 'gateway.networking.k8s.io';
    const path = (version: string) => `/apis/${group}/${version}/tcproutes`;
    server.unknown.add(path('v1'));
    const old = server.put(path('v1alpha2'), { ...pod('a'), apiVersion: `${group}/v1alpha2` });
    const collection = stack.use(watchCollection(client, tcpRoutes, { clock: hurried }));
    await eventually(() => server.openWatches === 1);
    expect(collection.get('ns/a')?.apiVersion).toBe(`${group}/v1alpha2`);
    server.unknown.clear();
    server.unknown.add(path('v1alpha2'));
    server.intercept = (_, asked) => {
      if (asked !== path('v1')) return undefined;
      server.intercept = undefined;
      const items = [{ ...old, apiVersion: `${group}/v1` }];
      return { status: 200, body: { items, metadata: { resourceVersion: old.metadata.resourceVersion } } };
    };
    server.dropConnections();
    await eventually(() => collection.get('ns/a')?.apiVersion === `${group}/v1`);
  });

  test('a custom kind that is defined but not served yet is waited for', async () => {
    server.unknown.add(POLICIES);
    server.put(CRDS, { metadata: { name: 'authorizationpolicies.security.istio.io' } });
    server.put(POLICIES, pod('p'));
    const collection = stack.use(watchCollection(client, authorizationPolicies, { clock: hurried }));
    await eventually(() => server.requests.filter((request) => request.includes(POLICIES)).length > 3);
    expect(collection.synced.value).toBe(false);
    server.unknown.clear();
    await eventually(() => collection.synced.value && collection.has('ns/p'));
  });

  test('a custom kind that is not defined is empty, also for those who may not ask', async () => {
    server.unknown.add(POLICIES);
    const collection = stack.use(watchCollection(client, authorizationPolicies, { clock: hurried }));
    await eventually(() => collection.synced.value);
    server.intercept = (_, path) => (path.startsWith(CRDS) ? { status: 403, body: {} } : undefined);
    const another = stack.use(watchCollection(client, authorizationPolicies, { clock: hurried }));
    await eventually(() => another.synced.value);
  });

  test('a server that has forgotten a kind does not make us forget its objects', async () => {
    server.put(POLICIES, pod('p'));
    const collection = stack.use(watchCollection(client, authorizationPolicies, { clock: hurried }));
    await eventually(() => server.openWatches === 1);
    server.unknown.add(POLICIES);
    server.dropConnections();
    await eventually(() => server.requests.filter((request) => request.includes(POLICIES)).length > 4);
    expect([...collection.keys()]).toEqual(['ns/p']);
  });

  test('fields that are null are as if they were absent', async () => {
    server.put(PODS, {
      ...pod('a'),
      spec: null,
      status: { podIPs: [{ ip: null }], conditions: null },
    } as KubeObject);
    const collection = watchPods();
    await eventually(() => collection.synced.value);
    const object = collection.get('ns/a');
    expect(object).toEqual({ metadata: object?.metadata, status: { podIPs: [{}] } });
  });

  test('nonsense in a watch does not end the following', async () => {
    const collection = watchPods();
    const watches = () => server.requests.filter((request) => request.includes('watch=true')).length;
    for (const line of ['not json', '{"type":"ADDED"}', '{"type":"WHAT","object":{}}', 'null']) {
      const before = watches();
      // Again until it is seen: a watch that was asked for need not be open yet.
      await eventually(() => {
        server.writeToWatches(PODS, line);
        return watches() > before;
      });
    }
    server.put(PODS, pod('a'));
    await eventually(() => collection.has('ns/a'));
  });

  test('a kind in one namespace', async () => {
    server.put(PODS, { metadata: { namespace: 'other', name: 'x' } });
    server.put(PODS, pod('a'));
    const collection = stack.use(watchCollection(client, pods, { namespace: 'ns' }));
    await eventually(() => collection.synced.value);
    expect([...collection.keys()]).toEqual(['ns/a']);
  });

  test('disposed of, it holds no connection', async () => {
    const collection = watchPods();
    await eventually(() => server.openWatches === 1);
    await collection[Symbol.asyncDispose]();
    await eventually(() => server.openWatches === 0);
  });
});

describe('LineSplitter', () => {
  test('puts lines together from pieces', () => {
    const splitter = new LineSplitter(100);
    expect(splitter.push(Buffer.from('a\nb'))).toEqual(['a']);
    expect(splitter.push(Buffer.from('c'))).toEqual([]);
    expect(splitter.push(Buffer.from('\n\nd\n'))).toEqual(['bc', '', 'd']);
  });

  test('refuses a line without end', () => {
    const splitter = new LineSplitter(MAX_WATCH_LINE_BYTES);
    const chunk = Buffer.alloc(MAX_WATCH_LINE_BYTES / 4 + 1, 'x');
    for (let i = 0; i < 3; i++) splitter.push(chunk);
    expect(() => splitter.push(chunk)).toThrow('limit of 16777216 bytes');
  });
});

collectionContract('watchCollection', async () => {
  const from = watchPods();
  const scheduler = new Scheduler({ onError: () => undefined });
  const collection = derivedValues({
    name: 'values',
    scheduler,
    from,
    compute: (object) => object.metadata.labels?.['value'],
  });
  const expected = new Map<string, string>();
  await eventually(() => server.openWatches === 1);
  return {
    collection,
    change: (changes) => {
      for (const [name, value] of changes) {
        if (value === undefined) {
          expected.delete(name);
          server.remove(PODS, '', name);
        } else {
          expected.set(name, value);
          server.put(PODS, { metadata: { name, labels: { value } } });
        }
      }
    },
    settle: () =>
      eventually(
        () =>
          collection.size === expected.size &&
          [...expected].every(([key, value]) => collection.get(key) === value),
      ),
  };
});
