import { beforeAll, describe, expect, test } from '@jest/globals';
import { PORTS } from '../echo/ports.ts';
import { linesWith } from './kit/access-log.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { matching, type Sample, total } from './kit/metrics.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, until } from './kit/wait.ts';

const suite = useSuite('telemetry');
/** What the application's TCP client sends, and gets back. */
const QUESTION_BYTES = Buffer.byteLength('question 0\n');
const ZTUNNEL_METRICS_PORT = 15_020;

let space: Space;
let client: EchoPod;
let server: EchoPod;
let stranger: EchoPod;

/** Pods of other suites have the same names, and their numbers stay as long as a proxy lives. */
const ofThisSuite = () => ({
  source_workload: 'client',
  source_workload_namespace: space.name,
  destination_workload: 'server',
  destination_workload_namespace: space.name,
});

const spiffe = (account: string) => `spiffe://cluster.local/ns/${space.name}/sa/${account}`;

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('app', 'ambient');
  const outside = await suite.space('out');
  await space.apply(serviceAccount(space.name, 'asker'), serviceAccount(space.name, 'keeper'));
  const started = await Promise.all([
    space.run(
      { name: 'client', node: first, serviceAccount: 'asker' },
      { name: 'server', node: second, serviceAccount: 'keeper', labels: { version: 'v7' } },
    ),
    outside.run({ name: 'stranger', node: first }),
  ]);
  [client, server] = started[0] as [EchoPod, EchoPod];
  [stranger] = started[1] as [EchoPod];
  await space.enrolled(true, 'client', 'server');
  await client.settledOn({ host: space.host('server') });
});

/** What ended a moment ago may be counted later on the other side: nothing of this suite's is open any more. */
async function atRest(node: string, reporter: string): Promise<void> {
  const labels = { ...ofThisSuite(), reporter };
  await until(`no connection is open at the ${reporter}`, async () => {
    const samples = await suite.mesh.metricsOf(node);
    return (
      total(samples, 'istio_tcp_connections_opened_total', labels) ===
      total(samples, 'istio_tcp_connections_closed_total', labels)
    );
  });
}

/** How much a counter grew by `act`, once it has grown at all. */
async function growth(
  node: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  act: () => Promise<unknown>,
): Promise<{ readonly by: number; readonly samples: readonly Sample[] }> {
  const before = total(await suite.mesh.metricsOf(node), name, labels);
  await act();
  const samples = await eventually(
    `${name} grows on ${node}`,
    () => suite.mesh.metricsOf(node),
    (now) => total(now, name, labels) > before,
  );
  return { by: total(samples, name, labels) - before, samples: matching(samples, name, labels) };
}

describe('one connection in a tunnel', () => {
  test.each(['source', 'destination'] as const)(
    'is counted once by the %s, with identities',
    async (reporter) => {
      const node = reporter === 'source' ? client.node : server.node;
      const labels = { ...ofThisSuite(), reporter, response_flags: '-' };
      await atRest(node, reporter);
      const { by, samples } = await growth(node, 'istio_tcp_connections_closed_total', labels, () =>
        client.mustReach({ kind: 'tcp', host: space.host('server') }),
      );
      expect(by).toBe(1);
      expect(samples.at(-1)?.labels).toMatchObject({
        source_principal: spiffe('asker'),
        source_workload_namespace: space.name,
        source_canonical_service: 'client',
        destination_principal: spiffe('keeper'),
        destination_workload_namespace: space.name,
        destination_canonical_service: 'server',
        destination_canonical_revision: 'v7',
        destination_service: space.host('server'),
        destination_service_name: 'server',
        destination_service_namespace: space.name,
        request_protocol: 'tcp',
        connection_security_policy: 'mutual_tls',
      });
    },
  );

  test.each(['source', 'destination'] as const)('has its bytes counted by the %s', async (reporter) => {
    const node = reporter === 'source' ? client.node : server.node;
    const labels = { ...ofThisSuite(), reporter };
    const ask = async () => {
      await client.mustReach({ kind: 'tcp', host: space.host('server') });
      await atRest(node, reporter);
    };
    await atRest(node, reporter);
    expect((await growth(node, 'istio_tcp_received_bytes_total', labels, ask)).by).toBe(QUESTION_BYTES);
    expect((await growth(node, 'istio_tcp_sent_bytes_total', labels, ask)).by).toBe(QUESTION_BYTES);
  });

  test('is one line in the log of each side', async () => {
    await client.mustReach({ kind: 'tcp', host: space.host('server') });
    const want = {
      'src.workload': 'client',
      'src.namespace': space.name,
      'dst.workload': 'server',
      bytes_sent: String(QUESTION_BYTES),
    };
    const line = async (node: string, direction: string) => {
      const found = await eventually(
        `an ${direction} line`,
        async () => linesWith(await suite.mesh.accessLogOf(node), { ...want, direction }),
        (lines) => lines.length > 0,
      );
      return found.at(-1);
    };
    const identities = {
      'src.identity': spiffe('asker'),
      'src.namespace': space.name,
      'dst.identity': spiffe('keeper'),
      'dst.namespace': space.name,
      'dst.service': space.host('server'),
      'dst.hbone_addr': `${server.ip}:${PORTS.tcp}`,
      'dst.addr': `${server.ip}:15008`,
      bytes_recv: String(QUESTION_BYTES),
    };
    for (const [node, direction] of [
      [client.node, 'outbound'],
      [server.node, 'inbound'],
    ] as const) {
      const found = await line(node, direction);
      expect(found).toMatchObject({ level: 'info', message: 'connection complete' });
      expect(found?.fields).toMatchObject(identities);
      expect(found?.fields['duration']).toMatch(/^\d+ms$/);
      expect(found?.fields['src.addr']).toContain(client.ip);
    }
  });
});

test('a connection from outside the mesh has no identity, in metrics and log', async () => {
  const labels = {
    reporter: 'destination',
    source_workload: 'stranger',
    destination_workload: 'server',
    destination_workload_namespace: space.name,
  };
  const { samples } = await growth(server.node, 'istio_tcp_connections_opened_total', labels, () =>
    stranger.eventuallyReaches({ host: space.host('server') }),
  );
  expect(samples.at(-1)?.labels).toMatchObject({
    source_principal: 'unknown',
    connection_security_policy: 'unknown',
  });
  const [line] = await eventually(
    'its line',
    async () =>
      linesWith(await suite.mesh.accessLogOf(server.node), {
        direction: 'inbound',
        'src.workload': 'stranger',
        'dst.namespace': space.name,
      }),
    (lines) => lines.length > 0,
  );
  expect(line?.fields).not.toHaveProperty(['src.identity']);
});

test('a refused connection is counted as failed, with its flag', async () => {
  const labels = {
    reporter: 'source',
    source_workload: 'client',
    source_workload_namespace: space.name,
    response_flags: 'CONNECT',
  };
  const { by } = await growth(client.node, 'istio_tcp_connections_failed_total', labels, () =>
    client.ask({ host: server.ip, port: 4_999, timeoutMs: 3_000 }),
  );
  expect(by).toBeGreaterThanOrEqual(1);
});

test('names that the mesh knows are answered by ztunnel, and counted', async () => {
  const { by } = await growth(
    client.node,
    'istio_dns_requests_total',
    { source_canonical_service: 'client' },
    () => client.mustReach({ host: space.host('server') }),
  );
  expect(by).toBeGreaterThanOrEqual(1);
});

test('a pod of the mesh scrapes a ztunnel, on its own node and on another', async () => {
  for (const node of [client.node, server.node]) {
    const { status } = await suite.mesh.podOf('ztunnel', node);
    await client.mustReach({ host: status?.podIP ?? '', port: ZTUNNEL_METRICS_PORT, path: '/metrics' });
  }
});

test('each proxy says what it is, and its metrics are in the form that Prometheus reads', async () => {
  for (const node of suite.nodes.slice(0, 2)) {
    const samples = await suite.mesh.metricsOf(node);
    expect(matching(samples, 'istio_build', { component: 'ztunnel' }).map(({ value }) => value)).toEqual([1]);
    expect(total(samples, 'workload_manager_active_proxy_count', {})).toBeGreaterThanOrEqual(1);
    expect(samples.every(({ value }) => Number.isFinite(value))).toBe(true);
  }
});
