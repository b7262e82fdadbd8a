import { beforeAll, describe, expect, test } from '@jest/globals';
import { services } from '@ambit/kube/resources/core';
import { PORTS } from '../echo/ports.ts';
import { type EchoPod, KINDS, PORT_OF_KIND } from './kit/echo-pod.ts';
import { echoSet, service } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { total } from './kit/metrics.ts';

const suite = useSuite('traffic');
const NODE_PORT_NAME = 'ported';
const REPLICAS = 2;

let inside: Space;
let outside: Space;
let client: EchoPod;
let far: EchoPod;
let stranger: EchoPod;
let members: readonly EchoPod[];

const reach = (from: EchoPod, host: string, kind = KINDS[0]) =>
  from.mustReach({ host, ...(kind && { kind }) });

beforeAll(async () => {
  const [first, second] = suite.nodes;
  inside = await suite.space('in', 'ambient');
  outside = await suite.space('out');
  const headless = { clusterIP: 'None', selector: { app: 'member' } };
  await inside.apply(
    service(inside.name, 'member', headless),
    echoSet(suite.cluster.file.images, {
      name: 'member',
      namespace: inside.name,
      replicas: REPLICAS,
      serviceName: 'member',
    }),
    service(inside.name, 'members', { selector: { app: 'member' } }),
    service(inside.name, NODE_PORT_NAME, {
      type: 'NodePort',
      selector: { app: 'far' },
      ports: [{ name: 'http', port: 80, targetPort: PORTS.http }],
    }),
  );
  const [started, others, set] = await Promise.all([
    inside.run({ name: 'client', node: first }, { name: 'near', node: first }, { name: 'far', node: second }),
    outside.run({ name: 'stranger', node: first }, { name: 'plain', node: second }),
    inside.allReady('member', REPLICAS),
  ]);
  [client, , far] = started as [EchoPod, EchoPod, EchoPod];
  [stranger] = others as [EchoPod, EchoPod];
  members = set;
  await inside.enrolled(true, 'client', 'near', 'far', ...members.map(({ name }) => name));
  // A Service answers once whoever leads there has heard of its pods: a node's own proxy, where that is not in the mesh.
  await stranger.settledOn({ host: inside.host('far') });
  for (const host of [inside.host('near'), inside.host('far'), outside.host('plain')])
    await client.settledOn({ host });
  await client.eventuallyReachesAll(
    { host: inside.host('members') },
    members.map(({ name }) => name),
  );
});

describe.each(KINDS)('%s', (kind) => {
  test.each(['near', 'far'] as const)(
    'reaches the %s pod by its Service, as the client itself',
    async (name) => {
      const { server } = await reach(client, inside.host(name), kind);
      if (kind !== 'tcp') expect(server).toMatchObject({ pod: name, source: client.ip });
    },
  );

  test('reaches a pod by its address', async () => {
    const { server } = await reach(client, far.ip, kind);
    if (kind !== 'tcp') expect(server).toMatchObject({ pod: 'far', source: client.ip });
  });

  test('goes from outside the mesh into it, and out of it, the client’s address kept', async () => {
    const into = await reach(stranger, inside.host('far'), kind);
    const out = await reach(client, outside.host('plain'), kind);
    if (kind === 'tcp') return;
    expect(into.server).toMatchObject({ pod: 'far', source: stranger.ip });
    expect(out.server).toMatchObject({ pod: 'plain', source: client.ip });
  });

  test('is carried for many requests on one connection', async () => {
    const load = await client.load({
      kind,
      host: inside.host('far'),
      connections: 1,
      requestsPerSecond: 50,
    });
    await load.hasServed(20);
    expect(await load.end()).toMatchObject({ failed: 0, reopened: 0, errors: [] });
  });
});

describe('names and addresses', () => {
  test('a Service of several pods reaches them all', async () => {
    const load = await client.load({
      host: inside.host('members'),
      connections: 'new',
      requestsPerSecond: 50,
    });
    await load.hasServed(60);
    const { servers, failed } = await load.end();
    expect(failed).toBe(0);
    expect(Object.keys(servers).sort()).toEqual(members.map(({ name }) => name).sort());
  });

  test('each member of a StatefulSet is reached by its own name', async () => {
    for (const { name } of members) {
      const host = `${name}.member.${inside.name}.svc.cluster.local`;
      expect(await client.eventuallyReaches({ host })).toMatchObject({ server: { pod: name } });
    }
  });

  test('short names are found by the search list', async () => {
    expect((await client.mustReach({ host: 'far' })).server?.pod).toBe('far');
    expect((await client.mustReach({ host: `far.${inside.name}` })).server?.pod).toBe('far');
    expect((await client.mustReach({ host: `plain.${outside.name}.svc` })).server?.pod).toBe('plain');
  });

  test('a pod reaches itself by its Service and by its address', async () => {
    expect((await far.mustReach({ host: inside.host('far') })).server?.pod).toBe('far');
    expect((await far.mustReach({ host: far.ip })).server?.pod).toBe('far');
  });

  test('a NodePort leads into an enrolled pod, by either node', async () => {
    const at = { namespace: inside.name, name: NODE_PORT_NAME };
    const { spec } = await suite.cluster.client.get(services, at);
    const port = (spec?.ports?.[0] as { readonly nodePort?: number } | undefined)?.nodePort ?? 0;
    for (const node of suite.nodes) {
      const address = await suite.cluster.nodeAddress(node);
      // Each node's own proxy hears of the pod by itself.
      const outcome = await stranger.eventuallyReaches({ host: address, port });
      expect(outcome).toMatchObject({ server: { pod: 'far' } });
    }
  });

  test('a port on the loopback address stays out of reach', async () => {
    for (const host of [far.ip, inside.host('far')])
      expect(await client.ask({ host, port: PORTS.loopback })).toMatchObject({ ok: false });
    await far.mustReach({ host: '127.0.0.1', port: PORTS.loopback });
  });

  test('a port that nobody listens on is an error for the client, soon', async () => {
    await client.eventuallyRefused({ host: far.ip, port: 4_999 }, /ECONNRE|socket hang up/);
  });

  test('the application is asked as it was: no header is added', async () => {
    const { server } = await client.mustReach({ host: inside.host('far') });
    expect(Object.keys(server?.headers ?? {}).sort()).toEqual(['connection', 'host']);
  });
});

describe('ports of the proxy itself', () => {
  test.each([15_001, 15_006, 15_008])('%i of a pod cannot be used to loop or to get in', async (port) => {
    for (const host of ['127.0.0.1', client.ip, far.ip])
      expect(await client.ask({ host, port, timeoutMs: 3_000 })).toMatchObject({ ok: false });
    expect(await stranger.ask({ host: far.ip, port, timeoutMs: 3_000 })).toMatchObject({ ok: false });
  });

  test.each([15_000, 15_020, 15_021])('%i is not there in an enrolled pod', async (port) => {
    expect(await client.ask({ host: '127.0.0.1', port, timeoutMs: 3_000 })).toMatchObject({ ok: false });
  });
});

test('everything went through tunnels: the node proxies say so of both ends', async () => {
  const [first, second] = suite.nodes;
  const name = 'istio_tcp_connections_opened_total';
  const labels = {
    source_workload: 'client',
    source_workload_namespace: inside.name,
    destination_workload: 'far',
    connection_security_policy: 'mutual_tls',
  };
  const [source, destination] = await Promise.all([
    suite.mesh.metricsOf(first),
    suite.mesh.metricsOf(second),
  ]);
  const kinds = Object.keys(PORT_OF_KIND).length;
  expect(total(source, name, { ...labels, reporter: 'source' })).toBeGreaterThanOrEqual(kinds);
  expect(total(destination, name, { ...labels, reporter: 'destination' })).toBeGreaterThanOrEqual(kinds);
});
