import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { Pod } from '@ambit/kube/resources/core';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { startControlPlane } from '../app.ts';
import { configFrom } from '../config.ts';
import { ANY_PORTS } from '../testing/any-ports.ts';

const ENV = {
  ...ANY_PORTS,
  ROOT_CA_DIR: '/nonexistent',
};

let scope: AsyncDisposableStack;
let http: string;
let monitoring: string;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  const api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  const client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  for (const name of ['istio-system', 'shop', 'other']) api.put('/api/v1/namespaces', { metadata: { name } });
  for (const [i, namespace] of ['shop', 'shop', 'other'].entries()) {
    const pod: Pod = {
      metadata: { namespace, name: `p${i}` },
      spec: { nodeName: 'n1' },
      status: { phase: 'Running', podIPs: [{ ip: `10.0.0.${i}` }] },
    };
    api.put('/api/v1/pods', pod);
  }
  const deps = { client, version: 'test', clock: systemClock, random: systemRandom, log: silentLogger };
  const { ports } = scope.use(await startControlPlane(configFrom(ENV), deps, AbortSignal.timeout(120_000)));
  http = `http://127.0.0.1:${ports.http}`;
  monitoring = `http://127.0.0.1:${ports.monitoring}`;
});
afterEach(() => scope.disposeAsync());

const page = async (path: string) => (await (await fetch(http + path)).json()) as Record<string, unknown>;

describe('debug pages', () => {
  test('every page of the list is there', async () => {
    const list = await (await fetch(`${http}/debug/list`)).text();
    const paths = list.split('\n').flatMap((line) => (line ? [line.slice(0, line.indexOf(':'))] : []));
    expect(paths).toContain('/debug/syncz');
    for (const path of paths) expect((await fetch(http + path)).status).toBe(200);
    expect((await fetch(`${http}/debug/secrets`)).status).toBe(404);
  });

  test('ambientz is of a namespace if one is named, and as long as asked for', async () => {
    expect(await page('/debug/ambientz?namespace=shop')).toMatchObject({
      workloads: [{ name: 'p0' }, { name: 'p1' }],
      total: { workloads: 2, services: 0, policies: 0 },
    });
    const second = await page('/debug/ambientz?limit=1&offset=1');
    expect(second).toMatchObject({ workloads: [{ name: 'p1' }], total: { workloads: 3 } });
    expect(await page('/debug/ambientz?limit=-1&offset=x')).toMatchObject({ total: { workloads: 3 } });
  });

  test('waypointz shows what waypoints are sent, and whom', async () => {
    expect(await page('/debug/waypointz?waypoint=shop/waypoint')).toMatchObject({
      total: 1,
      items: [
        {
          kind: 'MeshSettings',
          name: 'default',
          waypoints: 'all',
          resource: { trustDomain: 'cluster.local' },
        },
      ],
    });
    expect(await page('/debug/waypointz?kind=HttpRoute')).toEqual({ total: 0, items: [] });
  });

  test('inputs are counted; those of one kind are shown', async () => {
    expect(await page('/debug/inputs')).toMatchObject({
      pods: { size: 3, synced: true },
      nodes: { size: 0 },
    });
    const other = await page('/debug/inputs?kind=pods&namespace=other');
    expect(other).toMatchObject({ total: 1, items: [{ metadata: { name: 'p2' } }] });
    expect(await page('/debug/inputs?kind=constructor')).toHaveProperty('pods');
  });

  test('what an operator watches has a metric', async () => {
    const text = await (await fetch(`${monitoring}/metrics`)).text();
    for (const name of [
      'ambit_istiod_resources{type="address"} 3',
      'ambit_istiod_resources{type="meshsettings"} 1',
      'ambit_istiod_watch_lists_total{collection="pods"} 1',
      'ambit_istiod_xds_owed_names 0',
      'ambit_istiod_trusted_roots 1',
      'citadel_server_root_cert_expiry_seconds ',
    ])
      expect(text).toContain(`\n${name}`);
  });
});
