import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  serviceEntries,
  type ServiceEntrySpec,
  type WorkloadEntrySpec,
} from '@ambit/kube/resources/networking';
import { PORTS } from '../echo/ports.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { total } from './kit/metrics.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, LED } from './kit/wait.ts';

const suite = useSuite('service-entry');
const PORT = { number: PORTS.http, name: 'http', protocol: 'HTTP' };

let inside: Space;
let client: EchoPod;
let machine: EchoPod;

const entry = (name: string, spec: ServiceEntrySpec) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { namespace: inside.name, name },
  ...{ spec },
});
const workload = (name: string, spec: WorkloadEntrySpec) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadEntry',
  metadata: { namespace: inside.name, name },
  ...{ spec },
});

/** A name of this suite alone; nobody else's DNS answers it. */
const host = (name: string) => `${name}.${inside.name}.example`;

/** The mesh's own address for a host, once one was allotted. */
async function allotted(name: string): Promise<string> {
  const at = { namespace: inside.name, name };
  const { status } = await eventually(
    `an address for ${name}`,
    () => suite.cluster.client.get(serviceEntries, at),
    ({ status: now }) => (now?.addresses ?? []).length > 0,
    LED,
  );
  return status?.addresses?.[0]?.value ?? '';
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  inside = await suite.space('in', 'ambient');
  const outside = await suite.space('out');
  const started = await Promise.all([
    inside.run({ name: 'client', node: first }, { name: 'member', node: second }),
    outside.run({ name: 'machine', node: second }),
  ]);
  [client] = started[0] as [EchoPod];
  [machine] = started[1] as [EchoPod];
  await inside.enrolled(true, 'client', 'member');
});

test('a host with endpoints gets an address, is found by DNS, and leads to them', async () => {
  await inside.apply(
    entry('static', {
      hosts: [host('static')],
      ports: [PORT],
      resolution: 'STATIC',
      location: 'MESH_EXTERNAL',
      endpoints: [{ address: machine.ip }],
    }),
  );
  expect(await allotted('static')).toMatch(/^240\.240\./);
  const outcome = await client.eventuallyReaches({ host: host('static') });
  expect(outcome).toMatchObject({ ok: true, server: { pod: 'machine', source: client.ip } });
});

test('an endpoint that is a pod of the mesh is reached in a tunnel', async () => {
  await inside.apply(
    entry('to-member', {
      hosts: [host('to-member')],
      ports: [PORT],
      resolution: 'STATIC',
      workloadSelector: { labels: { app: 'member' } },
    }),
  );
  const outcome = await client.eventuallyReaches({ host: host('to-member') });
  expect(outcome).toMatchObject({ ok: true, server: { pod: 'member' } });
  const samples = await suite.mesh.metricsOf(client.node);
  const labels = {
    reporter: 'source',
    destination_service: host('to-member'),
    destination_workload: 'member',
    connection_security_policy: 'mutual_tls',
  };
  expect(total(samples, 'istio_tcp_connections_opened_total', labels)).toBeGreaterThanOrEqual(1);
});

test('a WorkloadEntry is an endpoint of what selects it, with its own port', async () => {
  await inside.apply(
    workload('vm', { address: machine.ip, labels: { app: 'vm' }, ports: { web: PORTS.http } }),
    entry('selected', {
      hosts: [host('selected')],
      ports: [{ number: 80, name: 'web', protocol: 'HTTP' }],
      resolution: 'STATIC',
      workloadSelector: { labels: { app: 'vm' } },
    }),
  );
  const outcome = await client.eventuallyReaches({ host: host('selected'), port: 80 });
  expect(outcome).toMatchObject({ ok: true, server: { pod: 'machine' } });
  await inside.remove(workload('vm', {}));
  await client.eventuallyRefused({ host: host('selected'), port: 80 }, /ECONNRE|hang up|no answer/);
});

test('an address of one’s own is used as it is', async () => {
  const address = '203.0.113.77';
  await inside.apply(
    entry('addressed', {
      hosts: [host('addressed')],
      addresses: [address],
      ports: [PORT],
      resolution: 'STATIC',
      endpoints: [{ address: machine.ip }],
    }),
  );
  expect(await client.eventuallyReaches({ host: address })).toMatchObject({ server: { pod: 'machine' } });
  expect(await client.eventuallyReaches({ host: host('addressed') })).toMatchObject({
    server: { pod: 'machine' },
  });
});

describe('resolution DNS', () => {
  test('a host stands for another name', async () => {
    await inside.apply(
      entry('by-name', {
        hosts: [host('by-name')],
        ports: [PORT],
        resolution: 'DNS',
        endpoints: [{ address: inside.host('member') }],
      }),
    );
    const outcome = await client.eventuallyReaches({ host: host('by-name') });
    expect(outcome).toMatchObject({ ok: true, server: { pod: 'member' } });
  });
});

test('what is deleted is found no more', async () => {
  await inside.remove(entry('static', {}));
  await client.eventuallyRefused({ host: host('static') }, /ENOTFOUND|EAI_AGAIN|ECONN/);
});
