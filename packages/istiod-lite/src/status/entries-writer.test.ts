import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { StaticCollection } from '@ambit/collections/static';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { type TcpRoute, tcpRoutes } from '@ambit/kube/resources/routes';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { watchCollection } from '@ambit/kube/watch-collection';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { PARENTS } from './controller-entries.ts';
import { EntriesWriter } from './entries-writer.ts';

const ROUTES = '/apis/gateway.networking.k8s.io/v1/tcproutes';
const OLD_ROUTES = '/apis/gateway.networking.k8s.io/v1alpha2/tcproutes';
const parentRef = { group: '', kind: 'Service', name: 'cart' };

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;
let wanted: StaticCollection<string, readonly WantedParent[]>;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  wanted = new StaticCollection({ name: 'wanted' });
});
afterEach(() => scope.disposeAsync());

async function start() {
  const common = { client, clock: systemClock, random: () => 0.5, log: silentLogger };
  const objects = scope.use(watchCollection(client, tcpRoutes, common));
  await until(objects.synced, Boolean, AbortSignal.timeout(120_000));
  return scope.use(
    new EntriesWriter({
      ...common,
      resource: tcpRoutes,
      list: PARENTS,
      controllerName: OURS,
      fieldManager: 'istio-ambient-route',
      objects,
      wanted,
    }),
  );
}

const put = (status?: TcpRoute['status'], path = ROUTES) =>
  api.put(path, {
    apiVersion: path.split('/').slice(2, 4).join('/'),
    metadata: { namespace: 'shop', name: 'cart' },
    ...(status && { status }),
  } as TcpRoute);
const parent = (message: string): WantedParent => ({
  parentRef,
  conditions: [{ type: 'Accepted', isTrue: true, reason: 'Accepted', message }],
});
const written = (path = ROUTES) =>
  (api.find(path, 'shop', 'cart') as TcpRoute | undefined)?.status?.parents?.map(
    ({ controllerName, conditions = [] }) => `${controllerName} ${conditions[0]?.message ?? ''}`,
  );
const writes = () => api.requests.filter((line) => line.startsWith('PATCH'));

async function eventually(what: () => boolean): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`never came true: ${what.toString()}`);
}
const quiet = () => api.quiet();
const OURS = 'istio.io/gateway-controller';

describe('EntriesWriter', () => {
  test('writes what is wanted once beside what others say, and takes it away again', async () => {
    put({ parents: [{ parentRef, controllerName: 'theirs', conditions: [] }] });
    wanted.set('shop/cart', [parent('a')]);
    await start();
    await eventually(() => written()?.length === 2);
    await quiet();
    expect(written()).toEqual(['theirs ', `${OURS} a`]);
    expect(writes()).toEqual([
      'PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/tcproutes/cart/status?fieldManager=istio-ambient-route',
    ]);
    wanted.delete('shop/cart');
    await eventually(() => written()?.length === 1);
    expect(written()).toEqual(['theirs ']);
  });

  test('never onto a version that somebody else has written since', async () => {
    put();
    const versions: unknown[] = [];
    api.intercept = (method, _, body) => {
      if (method !== 'PATCH') return undefined;
      versions.push((body as TcpRoute).metadata.resourceVersion);
      if (versions.length > 1) return undefined;
      put({ parents: [{ parentRef, controllerName: 'theirs', conditions: [] }] });
      return { status: 409, body: { reason: 'Conflict' } };
    };
    wanted.set('shop/cart', [parent('a')]);
    await start();
    await eventually(() => written()?.length === 2);
    expect(written()).toEqual(['theirs ', `${OURS} a`]);
    expect(versions).toHaveLength(2);
    expect(versions[0]).not.toBe(versions[1]);
  });

  test('in the version that the server has', async () => {
    api.unknown.add(ROUTES);
    put(undefined, OLD_ROUTES);
    wanted.set('shop/cart', [parent('a')]);
    await start();
    await eventually(() => written(OLD_ROUTES) !== undefined);
    expect(writes()[0]).toContain('/v1alpha2/');
  });

  test('a route that has gone meanwhile is let go', async () => {
    put();
    await start();
    api.removeSilently(ROUTES, 'shop', 'cart');
    wanted.set('shop/cart', [parent('a')]);
    await eventually(() => writes().length === 1);
    await quiet();
    expect(writes()).toHaveLength(1);
  });
});
