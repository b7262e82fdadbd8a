import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { systemRandom } from '@ambit/core/clock';
import { Names, type QuestionPlaces, RESOLVE_TIMEOUT_MS } from '@ambit/core/names';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { meshOf, workloadNamed } from '@ambit/model/testing/mesh-file';
import { Admission } from '../exchange/admission.ts';
import { FLEETING_DESTINATIONS, FLEETING_KEPT_MS, FLEETING_LOOK_MS, IDENTITY_SHARE } from '../limits.ts';
import type { MeshStore } from '@ambit/model/store';
import { ResourceStore } from '../resources/store.ts';
import type { Connector } from './connector.ts';
import type { Cluster } from './cluster.ts';
import { RENEW_MS } from './resolution.ts';
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
  const use = (port: number, client?: string) => {
    const address = { ip: '10.0.0.1', port };
    const to = { kind: 'workload', workload, address, port, protocol: undefined } as const;
    const cluster = upstreams.workload(to, client);
    if (cluster instanceof Error) throw cluster;
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

  test('are never kept in any number, however fast they are named', async () => {
    const clock = new FakeClock();
    const { upstreams, use, count } = upstreamsWith(clock);
    let most = 0;
    for (let port = 1; port < 3 * FLEETING_DESTINATIONS; port++) {
      use(port);
      if (port % 2_000 === 0) await clock.advance(FLEETING_LOOK_MS);
      most = Math.max(most, count());
    }
    expect(most).toBeLessThanOrEqual(FLEETING_DESTINATIONS);
    upstreams[Symbol.dispose]();
  });

  test('that others use are not driven out by whose they are', () => {
    const { upstreams, use } = upstreamsWith(new FakeClock());
    const { cluster } = use(1, 'alice');
    expect(use(1, 'bob').cluster).toBe(cluster);
    for (let port = 2; port <= FLEETING_DESTINATIONS * IDENTITY_SHARE + 1; port++) use(port, 'alice');
    expect(use(1, 'bob').cluster).toBe(cluster);
    upstreams[Symbol.dispose]();
  });

  test('of one client leave room for others while all are used, until some are not', async () => {
    const clock = new FakeClock();
    const { upstreams, use } = upstreamsWith(clock);
    const busy = Array.from({ length: FLEETING_DESTINATIONS * IDENTITY_SHARE }, (_, port) =>
      use(port, 'alice'),
    );
    for (const { endpoint } of busy) endpoint.activeRequests += 1;
    expect(() => use(50_000, 'alice')).toThrow('too many ports and names are in use, or of this client');
    expect(use(1, 'alice').cluster).toBe(busy[1]?.cluster);
    use(50_000, 'bob');
    for (const { endpoint } of busy) endpoint.activeRequests -= 1;
    expect(() => use(50_001, 'alice')).toThrow('too many');
    await clock.advance(FLEETING_LOOK_MS);
    use(50_001, 'alice');
    upstreams[Symbol.dispose]();
  });
});

test('a destination is not forgotten while a request of it waits for its next try', async () => {
  const clock = new FakeClock();
  const { upstreams, use } = upstreamsWith(clock);
  const { cluster } = use(1);
  cluster.breakers.tryTake('requests');
  const forgetIdle = async () => {
    for (let port = 2; port <= FLEETING_DESTINATIONS * IDENTITY_SHARE + 1; port++) use(port);
    await clock.advance(FLEETING_KEPT_MS * 2);
  };
  await forgetIdle();
  expect(use(1).cluster).toBe(cluster);
  cluster.breakers.release('requests');
  await forgetIdle();
  expect(use(1).cluster).not.toBe(cluster);
  upstreams[Symbol.dispose]();
});

test('of a destination that was forgotten no connection is made any more', async () => {
  const clock = new FakeClock();
  const { upstreams, use } = upstreamsWith(clock);
  const { endpoint } = use(1);
  await clock.advance(FLEETING_KEPT_MS * 2);
  const failures: string[] = [];
  endpoint.http('1.1').acquire({
    onConnection: () => undefined,
    onFailed: ({ reason }) => failures.push(reason),
  });
  expect(failures).toEqual(['endpoint_gone']);
  upstreams[Symbol.dispose]();
});

describe('names below a wildcard, which clients bring', () => {
  /** Names that are called `slow…` have no answer, until the test has one. */
  function wildcard(lookups?: QuestionPlaces) {
    const clock = new FakeClock();
    const answers = new Map<string, PromiseWithResolvers<readonly string[]>>();
    const lookUp = (name: string) => {
      const answer = Promise.withResolvers<readonly string[]>();
      answers.set(name, answer);
      return name.startsWith('slow') ? answer.promise : Promise.resolve(['192.0.2.1']);
    };
    const mesh = meshOf(`
services:
- {name: wild, namespace: shop, hostname: '*.example.test', vips: [/10.9.0.9], ports: {80: 80}}
workloads:
- {uid: ${UID}, name: web-0, namespace: shop, serviceAccount: web, workloadIps: [10.0.0.1], services: {}}
- {uid: wild, name: wild, namespace: shop, hostname: '*.example.test', workloadIps: [], services: {'shop/*.example.test': {80: 80}}}
`);
    const { upstreams } = upstreamsOver(mesh, clock, new Names(clock, lookUp, lookups));
    const to = { service: 'shop/*.example.test' as const, port: 80 };
    const find = (name: string, client?: string) =>
      upstreams.clusterFor({ to, subset: '' }, () => `${name}.example.test`, client);
    const named = (name: string, client?: string): Cluster => {
      const found = find(name, client);
      if (found instanceof Error) throw found;
      return found;
    };
    const pick = (name: string, client?: string) => {
      const address = { ip: '10.9.0.9', port: 80 };
      const found = find(name, client);
      if (found instanceof Error) return found.reason;
      const picked = found.pick({ hash: undefined, avoid: new Set(), random: systemRandom, address });
      return picked instanceof Error ? picked.reason : picked.key;
    };
    return { upstreams, clock, answers, named, pick };
  }

  test('are not forgotten while a request waits for their address', async () => {
    const { upstreams, clock, answers, named } = wildcard();
    const waiting = named('slow');
    const { pending } = waiting;
    expect(pending).toBeDefined();
    for (let i = 0; i <= FLEETING_DESTINATIONS; i++) {
      named(`n${i}`);
      // They are answered, so that there is room for further questions.
      if (i % 200 === 0) await setImmediate();
      if (i % 2_000 === 0) await clock.advance(FLEETING_LOOK_MS);
    }
    answers.get('slow.example.test')?.resolve(['192.0.2.1']);
    await pending;
    expect(named('slow')).toBe(waiting);
    upstreams[Symbol.dispose]();
  });

  test('are waited for once, however long name servers take', async () => {
    const { upstreams, clock, named, pick } = wildcard();
    const { pending } = named('slow');
    await clock.advance(RESOLVE_TIMEOUT_MS);
    await pending;
    expect([named('slow').pending, pick('slow')]).toEqual([undefined, 'dns_failure']);
    upstreams[Symbol.dispose]();
  });

  test('are asked for as their client’s: one that has its share keeps nobody else waiting', async () => {
    const { upstreams, answers, named, pick } = wildcard(new Admission(1, 1, 8).lookups);
    await named('known', 'bob').pending;
    for (const name of ['slow-1', 'slow-2']) expect(named(name, 'alice').pending).toBeDefined();
    expect(pick('slow-3', 'alice')).toBe('overflow');
    // Nothing is remembered of that: for somebody else it is asked for at once.
    expect(named('slow-3', 'bob').pending).toBeDefined();
    expect(named('slow-3', 'alice').pending).toBeDefined();
    expect(pick('other', 'alice')).toBe('overflow');
    expect(pick('known', 'alice')).toBe('192.0.2.1:80');
    answers.get('slow-1.example.test')?.resolve([]);
    await named('slow-1', 'alice').pending;
    await named('other', 'alice').pending;
    expect(pick('other', 'alice')).toBe('192.0.2.1:80');
    upstreams[Symbol.dispose]();
  });

  test('are not remembered where they were not looked up, so that no client can drive out what others know', async () => {
    const { upstreams, named, pick } = wildcard(new Admission(1, 1, 8).lookups);
    const known = named('known', 'bob');
    await known.pending;
    for (const name of ['slow-1', 'slow-2']) named(name, 'alice');
    const before = [...upstreams.clusters()].length;
    for (let i = 0; i <= FLEETING_DESTINATIONS; i++) expect(pick(`n${i}`, 'alice')).toBe('overflow');
    expect([...upstreams.clusters()]).toHaveLength(before);
    expect(named('known', 'bob')).toBe(known);
    upstreams[Symbol.dispose]();
  });

  test('are not driven out by clients that look up others, however many', async () => {
    const { upstreams, clock, named } = wildcard();
    const known = named('known', 'bob');
    await known.pending;
    for (let i = 0; i < 2 * FLEETING_DESTINATIONS; i++) {
      named(`n${i}`, i % 2 === 0 ? 'alice' : 'carol');
      if (i % 200 === 0) await setImmediate();
      if (i % 2_000 === 0) await clock.advance(FLEETING_LOOK_MS);
    }
    expect(named('known', 'bob')).toBe(known);
    expect([...upstreams.clusters()].length).toBeLessThanOrEqual(FLEETING_DESTINATIONS + 1);
    upstreams[Symbol.dispose]();
  });

  test('lead where they have led while nobody may be asked again', async () => {
    const { upstreams, clock, named, pick } = wildcard(new Admission(1, 1, 4).lookups);
    await named('known', 'alice').pending;
    expect(named('slow', 'alice').pending).toBeDefined();
    await clock.advance(RENEW_MS);
    expect(pick('known', 'alice')).toBe('192.0.2.1:80');
    upstreams[Symbol.dispose]();
  });
});
