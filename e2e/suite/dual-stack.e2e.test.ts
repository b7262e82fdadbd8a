/**
 * The mesh over IPv6, on a cluster with both families: `npm run e2e -- --ip-family dual e2e/suite/dual-stack`.
 *
 * What other suites show is shown there over IPv4, which is the first family of such a cluster. Everything here goes to
 * addresses of the second, or to Services and names that have no other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseIp } from '@ambit/core/ip';
import type { KubeObject } from '@ambit/kube/resource';
import { nodes } from '@ambit/kube/resources/core';
import { PORTS } from '../echo/ports.ts';
import { linesWith } from './kit/access-log.ts';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import { type EchoPod, KINDS } from './kit/echo-pod.ts';
import { matching, total } from './kit/metrics.ts';
import { authorizationPolicy, peerAuthentication, service, serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, until } from './kit/wait.ts';

const suite = useSuite('dual');
const rows = new Rows();
/** Longer than a proxy lets the connections of a pod that leaves go on. */
const LEAVE_MS = 7_000;
const ONLY_IPV6 = { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' };
const CONNECTIONS = 'istio_tcp_connections_opened_total';

let space: Space;
let outside: Space;
let client: EchoPod;
let near: EchoPod;
let far: EchoPod;
let stranger: EchoPod;

/** The name of the Service of a pod that has an IPv6 address alone. */
const six = (name: string) => `${name}-six`;
const host = (name: string) => space.host(six(name));
const same = (ip: string | undefined) => parseIp(ip ?? '');

/** Connections from one pod to another that the first one's proxy carried in tunnels so far. */
async function tunnelled(from: EchoPod, to: EchoPod): Promise<number> {
  const samples = await suite.mesh.metricsOf(from.node);
  return total(samples, CONNECTIONS, {
    reporter: 'source',
    source_workload: from.name,
    source_workload_namespace: from.namespace,
    destination_workload: to.name,
    connection_security_policy: 'mutual_tls',
  });
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('in');
  outside = await suite.space('out');
  await space.apply(
    serviceAccount(space.name, 'asker'),
    ...['near', 'far'].map((name) =>
      service(space.name, six(name), { ...ONLY_IPV6, selector: { app: name } }),
    ),
    service(space.name, 'six-headless', { ...ONLY_IPV6, clusterIP: 'None', selector: { app: 'far' } }),
    service(space.name, 'six-ported', {
      ...ONLY_IPV6,
      type: 'NodePort',
      selector: { app: 'far' },
      ports: [{ name: 'http', port: 80, targetPort: PORTS.http }],
    }),
  );
  const [started, others] = await Promise.all([
    space.run(
      { name: 'client', node: first, serviceAccount: 'asker' },
      { name: 'near', node: first },
      { name: 'far', node: second },
    ),
    outside.run({ name: 'stranger', node: first }),
  ]);
  [client, near, far] = started as [EchoPod, EchoPod, EchoPod];
  [stranger] = others as [EchoPod];
  for (const pod of [client, near, far, stranger])
    if (pod.ip6 === '') throw new Error(`not tested: pod ${pod.name} has no IPv6 address; --ip-family dual`);
  await client.eventuallyReaches({ host: host('far') });
  await stranger.eventuallyReaches({ host: host('far') });
});
afterAll(() => rows.print());

test('pods that run are taken in under load over IPv6, and none of it is lost', async () => {
  expect(await tunnelled(client, far)).toBe(0);
  const disturbed = await underLoad(client, host('far'), async () => {
    await space.label('ambient');
    await until('the first tunnel', async () => (await tunnelled(client, far)) > 0, { everyMs: 50 });
    await space.enrolled(true, 'client', 'near', 'far');
  });
  rows.add('labelling a running namespace, over IPv6', disturbed);
  expect([lost(disturbed), disturbed.held.reopened]).toEqual([[], 0]);
});

describe.each(KINDS)('%s over IPv6', (kind) => {
  test.each(['near', 'far'] as const)(
    'reaches the %s pod by its Service, as the client itself',
    async (name) => {
      const { server } = await client.mustReach({ host: host(name), kind });
      if (kind === 'tcp') return;
      expect(server?.pod).toBe(name);
      expect(same(server?.source)).toBe(same(client.ip6));
    },
  );

  test('reaches a pod by its address, and by a headless name', async () => {
    for (const to of [far.ip6, space.host('six-headless')]) {
      const { server } = await client.mustReach({ host: to, kind });
      if (kind !== 'tcp') expect([server?.pod, same(server?.source)]).toEqual(['far', same(client.ip6)]);
    }
  });

  test('goes from outside the mesh into it, and out of it', async () => {
    const into = await stranger.mustReach({ host: far.ip6, kind });
    const out = await client.mustReach({ host: stranger.ip6, kind });
    if (kind === 'tcp') return;
    expect(same(into.server?.source)).toBe(same(stranger.ip6));
    expect(same(out.server?.source)).toBe(same(client.ip6));
  });
});

test('a NodePort leads into an enrolled pod by the IPv6 address of a node', async () => {
  const { spec } = (await suite.cluster.client.get(
    { group: '', version: 'v1', kind: 'Service', plural: 'services', namespaced: true },
    { namespace: space.name, name: 'six-ported' },
  )) as KubeObject & { readonly spec?: { readonly ports?: readonly { readonly nodePort?: number }[] } };
  const port = spec?.ports?.[0]?.nodePort ?? 0;
  for (const name of suite.nodes) {
    const { status } = await suite.cluster.client.get(nodes, { name });
    const address = status?.addresses?.find((one) => one.type === 'InternalIP' && one.address.includes(':'));
    expect(address).toBeDefined();
    // Each node's own proxy hears of the pod by itself.
    const outcome = await stranger.eventuallyReaches({ host: address?.address ?? '', port });
    expect(outcome).toMatchObject({ server: { pod: 'far' } });
  }
});

test('the proxies tell both ends and their identities', async () => {
  const identity = (account: string) => `spiffe://cluster.local/ns/${space.name}/sa/${account}`;
  await client.mustReach({ host: far.ip6 });
  const lines = await eventually(
    'a line of the destination’s proxy',
    async () =>
      linesWith(await suite.mesh.accessLogOf(far.node), {
        direction: 'inbound',
        'src.identity': identity('asker'),
        'dst.identity': identity('default'),
        'dst.addr': /^\[.*\]:15008$/,
      }),
    ({ length }) => length > 0,
  );
  expect(same(/^\[(.*)\]/.exec(lines.at(-1)?.fields['src.addr'] ?? '')?.[1])).toBe(same(client.ip6));
  const received = matching(await suite.mesh.metricsOf(far.node), CONNECTIONS, {
    reporter: 'destination',
    source_principal: identity('asker'),
    destination_workload: 'far',
    connection_security_policy: 'mutual_tls',
  });
  expect(received.length).toBeGreaterThan(0);
});

describe('policies', () => {
  /** Whether each gets an answer of `far` over IPv6, until it is as wanted. */
  async function expectAdmitted(policy: KubeObject, wanted: readonly string[]): Promise<void> {
    await space.apply(policy);
    try {
      await eventually(
        `exactly ${wanted.join(', ') || 'nobody'} gets in`,
        async () => {
          const asked = await Promise.all(
            [client, near, stranger].map(async (one) => {
              const { ok } = await one.ask({ host: far.ip6, timeoutMs: 3_000 });
              return ok ? [one.name] : [];
            }),
          );
          return asked.flat().join();
        },
        (seen) => seen === wanted.join(),
      );
    } finally {
      await space.remove(policy);
    }
  }
  const rules = (action: 'ALLOW' | 'DENY', source: object) =>
    authorizationPolicy(space.name, 'six', { action, app: 'far', rules: [{ from: [{ source }] }] });

  test('STRICT keeps out who is not in the mesh', () =>
    expectAdmitted(peerAuthentication(space.name, 'six', { mode: 'STRICT', app: 'far' }), [
      'client',
      'near',
    ]));

  test('an address lets in, and a block keeps out', async () => {
    await expectAdmitted(rules('ALLOW', { ipBlocks: [client.ip6] }), ['client']);
    await expectAdmitted(rules('DENY', { ipBlocks: ['::/0'] }), []);
    await expectAdmitted(rules('DENY', { ipBlocks: ['0.0.0.0/0'] }), ['client', 'near', 'stranger']);
    await expectAdmitted(rules('DENY', { notIpBlocks: [`${stranger.ip6}/128`] }), ['stranger']);
  });

  test('an identity lets in', () =>
    expectAdmitted(rules('ALLOW', { principals: [`cluster.local/ns/${space.name}/sa/asker`] }), ['client']));
});

test('ports of the proxy cannot be used to loop, to get in, or to ask it', async () => {
  for (const port of [15_001, 15_006, 15_008]) {
    for (const to of ['::1', client.ip6, far.ip6])
      expect(await client.ask({ host: to, port, timeoutMs: 3_000 })).toMatchObject({ ok: false });
    expect(await stranger.ask({ host: far.ip6, port, timeoutMs: 3_000 })).toMatchObject({ ok: false });
  }
  for (const port of [15_000, 15_020, 15_021])
    expect(await client.ask({ host: '::1', port, timeoutMs: 3_000 })).toMatchObject({ ok: false });
});

test('a pod that starts now is in the mesh from its first connection over IPv6', async () => {
  const [newcomer] = await space.run({
    name: 'newcomer',
    env: { FIRST_REQUEST: `http ${host('far')} ${PORTS.http}` },
  });
  expect(newcomer && (await newcomer.firstRequest())).toMatchObject({ ok: true });
  if (newcomer) expect(await tunnelled(newcomer, far)).toBe(1);
});

test('the label is taken off under load over IPv6: in clear again, and none is lost', async () => {
  const disturbed = await underLoad(client, host('far'), async () => {
    await space.label(null);
    await space.enrolled(false, 'client', 'near', 'far');
    await sleep(LEAVE_MS);
  });
  rows.add('un-labelling it, over IPv6', disturbed);
  expect(lost(disturbed)).toEqual([]);
  const before = await tunnelled(client, far);
  const { server } = await client.mustReach({ host: host('far') });
  expect([await tunnelled(client, far), same(server?.source)]).toEqual([before, same(client.ip6)]);
});
