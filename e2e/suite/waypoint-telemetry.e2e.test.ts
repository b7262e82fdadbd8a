import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { runAmbit } from './kit/ambit.ts';
import type { Asked, EchoPod } from './kit/echo-pod.ts';
import { type LabelMatch, matching, type Sample, total } from './kit/metrics.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, until } from './kit/wait.ts';
import { WaypointPods } from './kit/waypoint-pods.ts';

const suite = useSuite('waypoint-telemetry');
const patience = { timeoutMs: 60_000 };

let space: Space;
let client: EchoPod;
let waypoint: WaypointPods;

const spiffe = (account: string) => `spiffe://cluster.local/ns/${space.name}/sa/${account}`;
const reach = (asked: Partial<Asked> = {}) => client.mustReach({ host: space.host('server'), ...asked });

/** The labels of what `act` is counted under. */
async function counted(
  name: string,
  labels: LabelMatch,
  act: () => Promise<unknown>,
): Promise<Sample['labels']> {
  const before = total(await waypoint.metrics(), name, labels);
  await act();
  const samples = await eventually(
    `${name} grows`,
    () => waypoint.metrics(),
    (now) => total(now, name, labels) > before,
    patience,
  );
  return matching(samples, name, labels).at(-1)?.labels ?? {};
}

function telemetry(name: string, spec: Readonly<Record<string, unknown>>): KubeObject {
  return {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { namespace: space.name, name },
    ...{ spec },
  };
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('app', 'ambient');
  await space.apply(serviceAccount(space.name, 'asker'), serviceAccount(space.name, 'keeper'));
  [client] = (await space.run(
    { name: 'client', node: first, serviceAccount: 'asker' },
    { name: 'server', node: second, serviceAccount: 'keeper', labels: { version: 'v7' } },
  )) as [EchoPod];
  await space.enrolled(true, 'client', 'server');
  waypoint = new WaypointPods(suite.cluster, space.name);
  await runAmbit(suite.cluster, 'waypoint', 'apply', '-n', space.name, '--enroll-namespace');
  await until(
    'requests at L7',
    async () => (await reach()).server?.headers?.['x-request-id'] !== undefined,
    patience,
  );
});

describe('a request', () => {
  test('is counted with the identities of both, as Istio’s dashboards ask', async () => {
    const labels = await counted('istio_requests_total', { response_code: '200' }, () => reach());
    expect(labels).toMatchObject({
      reporter: 'waypoint',
      request_protocol: 'http',
      response_flags: '-',
      connection_security_policy: 'mutual_tls',
      source_workload: 'client',
      source_workload_namespace: space.name,
      source_principal: spiffe('asker'),
      destination_workload: 'server',
      destination_workload_namespace: space.name,
      destination_principal: spiffe('keeper'),
      destination_service: space.host('server'),
      destination_service_name: 'server',
      destination_service_namespace: space.name,
      destination_canonical_revision: 'v7',
    });
  });

  test('of gRPC is counted as such, with its messages', async () => {
    const labels = await counted('istio_response_messages_total', { request_protocol: 'grpc' }, () =>
      reach({ kind: 'grpc' }),
    );
    expect(labels).toMatchObject({ grpc_response_status: '0', response_code: '200' });
  });
});

test('a connection that is no HTTP is counted, too', async () => {
  const labels = await counted('istio_tcp_connections_closed_total', { request_protocol: 'tcp' }, () =>
    reach({ kind: 'tcp' }),
  );
  expect(labels).toMatchObject({
    source_principal: spiffe('asker'),
    destination_principal: spiffe('keeper'),
  });
});

describe('a Telemetry', () => {
  test('changes labels', async () => {
    const tagOverrides = {
      source_app: { value: "'test'" },
      ask: { value: 'request.method' },
      source_principal: { operation: 'REMOVE' },
    };
    const overrides = [{ match: { metric: 'REQUEST_COUNT', mode: 'SERVER' }, tagOverrides }];
    const asked = telemetry('labels', { metrics: [{ providers: [{ name: 'prometheus' }], overrides }] });
    await space.having([asked], async () => {
      const found = await eventually(
        'requests with other labels',
        async () => {
          await reach();
          return matching(await waypoint.metrics(), 'istio_requests_total', {
            source_app: 'test',
            ask: 'GET',
          });
        },
        (samples) => samples.length > 0,
        patience,
      );
      expect(found[0]?.labels).not.toHaveProperty('source_principal');
    });
  });

  test('asks for an access log, of some requests', async () => {
    const accessLogging = [
      {
        match: { mode: 'CLIENT_AND_SERVER' },
        providers: [{ name: 'envoy' }],
        filter: { expression: "request.url_path == '/told'" },
      },
    ];
    await space.having([telemetry('log', { accessLogging })], async () => {
      const lines = await eventually(
        'a line',
        async () => {
          await reach({ path: '/not-told' });
          await reach({ path: '/told' });
          return (await waypoint.logs()).filter(
            (line) => line.includes('/told') || line.includes('/not-told'),
          );
        },
        (found) => found.length > 0,
        patience,
      );
      expect(lines.filter((line) => line.includes('/not-told'))).toEqual([]);
      expect(lines[0]).toMatch(
        /^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] "GET \/told HTTP\/1\.1" 200 - via_upstream - "-" \d+ \d+ \d+ \d+ "/,
      );
      expect(lines[0]).toContain(`"${space.host('server')}`);
    });
  });
});
