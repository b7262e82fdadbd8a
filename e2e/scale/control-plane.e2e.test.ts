/**
 * The control plane before a real API server, without nodes: what only a real one does to it (forgetting history, dying,
 * reviewing bound tokens). Everything runs in this process but etcd and the API server.
 */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { CaClient } from '@ambit/identity/ca-client';
import { controlPlaneChannel } from '@ambit/identity/control-plane-tls';
import { type ControlPlane, startControlPlane } from '@ambit/istiod-lite/app';
import { configFrom } from '@ambit/istiod-lite/config';
import { ANY_PORTS } from '@ambit/istiod-lite/testing/any-ports';
import { configMaps, namespaces, nodes, type Pod, pods, serviceAccounts } from '@ambit/kube/resources/core';
import { DeltaXdsClient } from '@ambit/xds/client';
import { boundTokenOf, installBase, tokenOf } from './fill.ts';
import { apiServerFor, BUILD_TIMEOUT_MS, type RealApiServer } from './real-api-server.ts';

const AWAY_MS = 4_000;
jest.setTimeout(180_000);

const scope = new AsyncDisposableStack();
let api: RealApiServer;
let plane: ControlPlane;
let root: string;

beforeAll(async () => {
  ({ api } = await apiServerFor(scope));
  await installBase(api.admin);
  await api.admin.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  for (const name of ['n1', 'n2'])
    await api.admin.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  for (const name of ['web', 'db', 'default'])
    await api.admin.create(serviceAccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace: 'shop', name },
    });
  await run('istio-system', 'ztunnel-n1', 'ztunnel', 'n1', '10.0.1.1');
  await run('istio-system', 'ztunnel-n2', 'ztunnel', 'n2', '10.0.2.1');
  await run('shop', 'web', 'web', 'n1', '10.0.1.2');
  await run('shop', 'db', 'db', 'n2', '10.0.2.2');
  const env = {
    ...ANY_PORTS,
    ROOT_CA_DIR: '/nonexistent',
  };
  const deps = {
    client: api.admin,
    version: 'test',
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  };
  plane = scope.use(await startControlPlane(configFrom(env), deps, AbortSignal.timeout(60_000)));
  root = await eventually(async () => {
    const at = { namespace: 'istio-system', name: 'istio-ca-root-cert' };
    return (await api.admin.find(configMaps, at))?.data?.['root-cert.pem'];
  });
}, BUILD_TIMEOUT_MS);
afterAll(() => scope.disposeAsync());

async function run(namespace: string, name: string, account: string, nodeName: string, ip: string) {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app: name } },
    spec: {
      nodeName,
      serviceAccountName: account,
      containers: [{ name: 'app', image: 'example.invalid/app' }],
    },
  };
  await api.admin.create(pods, pod);
  const body = {
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
  await api.admin.patch(pods, { namespace, name }, { type: 'merge', body }, { subresource: 'status' });
}

async function eventually<T>(what: () => Promise<T | undefined | false>, deadlineMs = 60_000): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const value = await what();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endMs) throw new Error(`never came true: ${what.toString()}`);
    await systemClock.sleep(20);
  }
}

const uid = (namespace: string, name: string) => `Kubernetes//Pod/${namespace}/${name}`;

/** A ztunnel's view: names that it holds, and names that were ever taken away from it. */
async function follow() {
  const held = new Set<string>();
  const withdrawn: string[] = [];
  const token = await boundTokenOf(api.admin, 'istio-system', 'ztunnel', 'ztunnel-n1', 'istio-ca');
  const address = `localhost:${plane.ports.secure}`;
  const handler = (typeUrl: string) => ({
    typeUrl,
    onDemand: false,
    apply: (change: {
      readonly upserts: readonly { readonly name: string }[];
      readonly removed: readonly string[];
    }) => {
      for (const { name } of change.upserts) held.add(name);
      for (const name of change.removed) held.delete(name);
      withdrawn.push(...change.removed);
      return [];
    },
  });
  const xds = scope.use(
    new DeltaXdsClient({
      address,
      channel: () => Promise.resolve(controlPlaneChannel(address, [root])),
      headers: () => Promise.resolve({ authorization: `Bearer ${token}` }),
      node: {
        id: 'ztunnel~10.0.1.1~ztunnel-n1.istio-system~istio-system.svc.cluster.local',
        cluster: '',
        metadata: { NODE_NAME: 'n1', NAMESPACE: 'istio-system' },
      },
      types: [handler(ADDRESS_TYPE_URL), handler(AUTHORIZATION_TYPE_URL)],
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    }),
  );
  await xds.start(AbortSignal.timeout(60_000));
  await until(xds.synced, Boolean, AbortSignal.timeout(60_000));
  return { held, withdrawn };
}

/** The sum of a counter over all its series. */
async function counted(name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${plane.ports.monitoring}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

describe('an API server that is killed', () => {
  test('takes nothing from proxies, is not stormed while it is away, and is resumed from where it was', async () => {
    const { held, withdrawn } = await follow();
    expect(held).toContain(uid('shop', 'web'));
    const [listsBefore, failuresBefore] = [
      await counted('ambit_istiod_watch_lists_total'),
      await counted('ambit_istiod_watch_failures_total'),
    ];
    await api.kill();
    await systemClock.sleep(AWAY_MS);
    const kinds = listsBefore;
    // 0.2 s, doubled each time: in 4 s five or six tries a kind, jitter included.
    const tries = (await counted('ambit_istiod_watch_failures_total')) - failuresBefore;
    expect(tries).toBeGreaterThan(0);
    expect(tries).toBeLessThan(kinds * 9);
    expect(withdrawn).toEqual([]);
    await api.restart();
    await run('shop', 'after', 'default', 'n1', '10.0.1.3');
    await eventually(() => Promise.resolve(held.has(uid('shop', 'after'))));
    expect(withdrawn).toEqual([]);
    expect(held).toContain(uid('shop', 'web'));
  });

  test('and has forgotten its history meanwhile: the difference alone is told', async () => {
    const { held, withdrawn } = await follow();
    await run('shop', 'gone', 'default', 'n1', '10.0.1.4');
    await eventually(() => Promise.resolve(held.has(uid('shop', 'gone'))));
    const before = await counted('ambit_istiod_watch_lists_total');
    await api.kill();
    // As if somebody else had written, and etcd had compacted, while nobody could watch.
    await api.etcd('deleterange', { key: btoa('/registry/pods/shop/gone') });
    for (let i = 0; i < 20; i++) await api.etcd('put', { key: btoa('/elsewhere'), value: btoa(String(i)) });
    await api.compact();
    await api.restart();
    await eventually(() => Promise.resolve(!held.has(uid('shop', 'gone'))));
    await run('shop', 'later', 'default', 'n1', '10.0.1.5');
    await eventually(() => Promise.resolve(held.has(uid('shop', 'later'))));
    expect(withdrawn).toEqual([uid('shop', 'gone')]);
    expect(await counted('ambit_istiod_watch_lists_total')).toBeGreaterThan(before);
  });
});

describe('with tokens that a real API server reviews', () => {
  const identity = (account: string) => `spiffe://cluster.local/ns/shop/sa/${account}`;

  async function ask(token: string, wanted: string, impersonate = true): Promise<string> {
    using ca = new CaClient({
      address: `localhost:${plane.ports.secure}`,
      root: { kind: 'pem', pem: root },
      token: { kind: 'literal', token },
      clusterId: 'Kubernetes',
      headers: {},
      impersonate,
      ttlMs: 3_600_000,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    });
    return (await ca.fetch(wanted, AbortSignal.timeout(30_000))).identity;
  }

  const ofNode = (pod: string) => boundTokenOf(api.admin, 'istio-system', 'ztunnel', pod, 'istio-ca');

  test('a stolen ztunnel token is worth the pods of its own node, and nothing once its pod is gone', async () => {
    const token = await ofNode('ztunnel-n2');
    expect(await ask(token, identity('db'))).toBe(identity('db'));
    const refusal = 'request impersonation authentication failure';
    await expect(ask(token, identity('web'))).rejects.toThrow(refusal);
    await expect(ask(token, 'spiffe://cluster.local/ns/istio-system/sa/istiod')).rejects.toThrow(refusal);
    await api.admin.delete(
      pods,
      { namespace: 'istio-system', name: 'ztunnel-n2' },
      { gracePeriodSeconds: 0 },
    );
    await eventually(async () =>
      ask(token, identity('db')).then(
        () => false,
        (error: unknown) => /request (authenticate|impersonation)/.test(String(error)),
      ),
    );
  });

  test("a workload's token is worth its own identity", async () => {
    const token = await boundTokenOf(api.admin, 'shop', 'web', 'web', 'istio-ca');
    expect(await ask(token, identity('web'), false)).toBe(identity('web'));
    await expect(ask(token, identity('db'))).rejects.toThrow('request impersonation authentication failure');
    await expect(ask(token, identity('web'))).rejects.toThrow('request impersonation authentication failure');
  });

  test('a token for another audience, or bound to no pod, may not act for others', async () => {
    const elsewhere = await boundTokenOf(api.admin, 'istio-system', 'ztunnel', 'ztunnel-n1', 'another');
    await expect(ask(elsewhere, identity('web'))).rejects.toThrow('request authenticate failure');
    const unbound = await tokenOf(api.admin, 'ztunnel', 'istio-ca');
    await expect(ask(unbound, identity('web'))).rejects.toThrow(
      'request impersonation authentication failure',
    );
    await expect(ask('not.a.token', identity('web'))).rejects.toThrow('request authenticate failure');
  });
});
