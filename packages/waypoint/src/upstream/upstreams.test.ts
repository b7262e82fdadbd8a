import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { systemRandom } from '@ambit/core/clock';
import { Names } from '@ambit/core/names';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { meshOf, workloadNamed } from '@ambit/model/testing/mesh-file';
import { FLEETING_DESTINATIONS, FLEETING_KEPT_MS } from '../limits.ts';
import type { MeshStore } from '@ambit/model/store';
import { ResourceStore } from '../resources/store.ts';
import type { Connector } from './connector.ts';
import { Upstreams } from './upstreams.ts';

const UID = 'Kubernetes//Pod/shop/web-0';

function upstreamsWith(clock: FakeClock) {
  const mesh = meshOf(`
workloads:
- {uid: ${UID}, name: web-0, namespace: shop, serviceAccount: web, workloadIps: [10.0.0.1], services: {}}
`);
  return upstreamsOver(mesh, clock, new Names(clock));
}

function upstreamsOver(mesh: MeshStore, clock: FakeClock, outside: Names) {
  const workload = workloadNamed(mesh, UID);
  const upstreams = new Upstreams({
    mesh,
    resources: new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' }),
    connector: {} as Connector,
    names: new Names(clock),
    outside: { names: outside, mayBeAsked: () => true },
    clock,
    self: () => workload,
    random: systemRandom,
    log: silentLogger,
  });
  const use = (port: number) => {
    const address = { ip: '10.0.0.1', port };
    const cluster = upstreams.workload({ kind: 'workload', workload, address, port, protocol: undefined });
    const endpoint = cluster.pick({ hash: undefined, avoid: new Set(), random: systemRandom, address });
    if (endpoint instanceof Error) throw endpoint;
    return { cluster, endpoint };
  };
  return { upstreams, use, count: () => [...upstreams.clusters()].length };
}

describe('ports of a workload, which clients name', () => {
  test('are forgotten when nobody uses them', async () => {
    const clock = new FakeClock();
    const { upstreams, use, count } = upstreamsWith(clock);
    const busy = use(1);
    busy.endpoint.activeRequests += 1;
    for (let port = 2; port < 100; port++) use(port);
    expect(count()).toBe(99);
    await clock.advance(FLEETING_KEPT_MS / 2);
    use(50);
    await clock.advance(FLEETING_KEPT_MS / 2 + 5_000);
    expect(count()).toBe(2);
    expect(use(1).cluster).toBe(busy.cluster);
    busy.endpoint.activeRequests -= 1;
    await clock.advance(FLEETING_KEPT_MS * 2);
    expect(count()).toBe(0);
    upstreams[Symbol.dispose]();
  });

  test('are never kept in any number, however fast they are named', () => {
    const { upstreams, use, count } = upstreamsWith(new FakeClock());
    let most = 0;
    for (let port = 1; port < 3 * FLEETING_DESTINATIONS; port++) {
      use(port);
      most = Math.max(most, count());
    }
    expect(most).toBeLessThanOrEqual(FLEETING_DESTINATIONS + 1);
    upstreams[Symbol.dispose]();
  });
});

test('a name below a wildcard is not forgotten while a request waits for its address', async () => {
  const clock = new FakeClock();
  const answers = new Map<string, PromiseWithResolvers<readonly string[]>>();
  const lookUp = (name: string) => {
    const answer = Promise.withResolvers<readonly string[]>();
    answers.set(name, answer);
    return name.startsWith('slow.') ? answer.promise : Promise.resolve([]);
  };
  const mesh = meshOf(`
services:
- {name: wild, namespace: shop, hostname: '*.example.test', vips: [/10.9.0.9], ports: {80: 80}}
workloads:
- {uid: ${UID}, name: web-0, namespace: shop, serviceAccount: web, workloadIps: [10.0.0.1], services: {}}
- {uid: wild, name: wild, namespace: shop, hostname: '*.example.test', workloadIps: [], services: {'shop/*.example.test': {80: 80}}}
`);
  const { upstreams } = upstreamsOver(mesh, clock, new Names(clock, lookUp));
  const to = { service: 'shop/*.example.test' as const, port: 80 };
  const named = (name: string) => upstreams.clusterFor({ to, subset: '' }, () => `${name}.example.test`);
  const waiting = named('slow');
  if (waiting instanceof Error) throw waiting;
  const { pending } = waiting;
  expect(pending).toBeDefined();
  for (let i = 0; i <= FLEETING_DESTINATIONS; i++) named(`n${i}`);
  answers.get('slow.example.test')?.resolve(['192.0.2.1']);
  await pending;
  expect(named('slow')).toBe(waiting);
  upstreams[Symbol.dispose]();
});
