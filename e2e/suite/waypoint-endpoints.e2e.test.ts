/** Which endpoints a waypoint sends to: those that pass their health checks, of the subset that is asked for, and near it. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { nodes, pods, services } from '@ambit/kube/resources/core';
import { serviceEntries } from '@ambit/kube/resources/networking';
import type { RequestOutcome } from '../echo/messages.ts';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import type { Asked, EchoPod } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { type LabelMatch, total } from './kit/metrics.ts';
import { service } from './kit/objects.ts';
import { inTurn, podOf, wasReadOnTheWay } from './kit/outcomes.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { EVERYBODY, LED, type Patience, until } from './kit/wait.ts';
import { WaypointPods } from './kit/waypoint-pods.ts';

const suite = useSuite('waypoint-endpoints');
const patience = LED;
/** A waypoint has two pods, which hear of a change each in its own time. */
const settled: Patience = { inARow: EVERYBODY };
const ASK_TIMEOUT_MS = 20_000;
const ZONE = 'topology.kubernetes.io/zone';
const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';

let space: Space;
let client: EchoPod;
let good: EchoPod;
/** Fails until a test has it do otherwise. */
let bad: EchoPod;
let there: EchoPod;
let waypoint: WaypointPods;

const ambit = (...args: readonly string[]) => runAmbit(suite.cluster, ...args);
const ask = (name: string, asked: Partial<Asked> = {}) =>
  client.ask({ host: space.host(name), timeoutMs: ASK_TIMEOUT_MS, ...asked });
const countedOf = async (metric: string, destination: string, labels: LabelMatch = {}) =>
  total(await waypoint.metrics(), `ambit_waypoint_${metric}`, { destination, ...labels });

function object(apiVersion: string, kind: string, name: string, spec: object): KubeObject {
  return { apiVersion, kind, metadata: { namespace: space.name, name }, ...{ spec } };
}

const annotated = (made: KubeObject, annotations: Readonly<Record<string, string>>): KubeObject => ({
  ...made,
  metadata: { ...made.metadata, annotations },
});

beforeAll(async () => {
  const [one, two] = suite.nodes;
  space = await suite.space('app', 'ambient');
  waypoint = new WaypointPods(suite.cluster, space.name);
  [client, good, bad, there] = (await space.run(
    { name: 'client', node: one },
    { name: 'good', node: one, labels: { luck: 'mixed', place: 'any', version: 'v1' } },
    { name: 'bad', node: two, labels: { luck: 'mixed' }, env: { STATUS: '503' } },
    { name: 'there', node: two, labels: { place: 'any', version: 'v2' } },
  )) as [EchoPod, EchoPod, EchoPod, EchoPod];
  await space.apply(service(space.name, 'placed', { selector: { place: 'any' } }));
  await space.enrolled(true, 'client', 'good', 'bad', 'there');
  await ambit('waypoint', 'apply', '-n', space.name, '--enroll-namespace', '--waypoint-timeout', '150s');
  for (const name of ['good', 'placed'])
    await until(`requests to ${name} at L7`, async () => wasReadOnTheWay(await ask(name)), settled);
});

describe('health checks that annotations ask for', () => {
  /** For documentation alone (RFC 5737): nobody answers. */
  const NOBODY = '192.0.2.1';
  const CHECK = 'ambit.mesh/health-check';
  const HEALTH_CHECKED = 'ambit.mesh/HealthCheckAccepted';
  const PORT = { number: PORTS.http, name: 'http', protocol: 'HTTP' };
  let sound: EchoPod;
  let ailing: EchoPod;

  beforeAll(async () => {
    const outside = await suite.space('outside');
    [sound, ailing] = (await outside.run(
      { name: 'sound', node: suite.nodes[1] },
      { name: 'ailing', node: suite.nodes[0], env: { STATUS: '503' } },
    )) as [EchoPod, EchoPod];
  });

  const entry = (name: string, port: object, ...endpoints: readonly { readonly ip: string }[]) =>
    object('networking.istio.io/v1', 'ServiceEntry', name, {
      hosts: [`${name}.${space.name}.example`],
      location: 'MESH_EXTERNAL',
      resolution: 'STATIC',
      ports: [port],
      endpoints: endpoints.map(({ ip: address }) => ({ address })),
    });
  const at = (name: string) => ({ namespace: space.name, name });
  const kinds = {
    Service: {
      host: () => space.host('checked'),
      made: () => service(space.name, 'checked', { selector: { luck: 'mixed' } }),
      status: async () => (await suite.cluster.client.get(services, at('checked'))).status,
      well: 'good',
      other: () => bad,
    },
    ServiceEntry: {
      host: () => `checked.${space.name}.example`,
      made: () => entry('checked', PORT, sound, ailing),
      status: async () => (await suite.cluster.client.get(serviceEntries, at('checked'))).status,
      well: 'sound',
      other: () => ailing,
    },
  } as const;

  test.each(Object.entries(kinds))(
    'of a %s: who fails them is left out, and in again who passes',
    async (_, { host, made, status, well, other }) => {
      const one = () => client.ask({ host: host(), timeoutMs: ASK_TIMEOUT_MS });
      const errorOf = (outcome: RequestOutcome) => (outcome.ok ? '' : outcome.error);
      const checked = (parts: Readonly<Record<string, string>>) =>
        space.apply(
          annotated(
            made(),
            Object.fromEntries(Object.entries(parts).map(([part, value]) => [`${CHECK}${part}`, value])),
          ),
        );
      const onlyGood = async () => (await inTurn(30, one)).every((outcome) => podOf(outcome) === well);
      const readsWell = async () =>
        (await status())?.conditions?.find(({ type }) => type === HEALTH_CHECKED)?.status;
      await space.having([made()], async () => {
        await until('requests at L7', async () => wasReadOnTheWay(await one()), patience);
        await until('one that fails', async () => !(await one()).ok, patience);

        await checked({ '': 'http', '-interval': '1s' });
        await until('thirty requests in turn to the good one', onlyGood, patience);
        await until('its status says so', async () => (await readsWell()) === 'True', patience);
        expect(await countedOf('health_checks_total', host(), { result: 'failed' })).toBeGreaterThan(0);
        expect(await countedOf('health_checks_total', host(), { result: 'passed' })).toBeGreaterThan(0);
        expect(await countedOf('endpoints', host(), { state: 'failing_health_checks' })).toBeGreaterThan(0);
        await until('the command tells', async () =>
          new RegExp(`${host()}:${PORTS.http} .*fails its health checks`).test(
            (await ambit('waypoint', 'endpoints', '-n', space.name)).text,
          ),
        );
        await until('the log tells', async () =>
          (await waypoint.logs()).some((line) => line.includes('endpoint failed its health checks')),
        );

        await other().becomes({});
        await until(
          'the other one is asked again',
          async () => podOf(await one()) === other().name,
          patience,
        );
        await until('the log tells that as well', async () =>
          (await waypoint.logs()).some((line) => line.includes('endpoint passed its health checks')),
        );
        await other().becomes({ status: 503 });
        await until('and left out again', onlyGood, patience);

        await checked({ '': 'http', '-interval': '1s', '-path': '/status/500' });
        await until(
          'nobody is well',
          async () => errorOf(await one()).startsWith('status 503: no healthy upstream'),
          patience,
        );

        await checked({ '': 'ping' });
        await until('what cannot be read is told', async () => (await readsWell()) === 'False', patience);
        await until('and checks nothing', async () => podOf(await one()) === well, patience);
      });
    },
  );

  test.each([
    ['tcp', 'http', PORT],
    ['grpc', 'grpc', { number: PORTS.grpc, name: 'grpc', protocol: 'GRPC' }],
  ] as const)('by %s: an endpoint where nobody is gets no request', async (how, kind, port) => {
    const name = `dialled-${how}`;
    const made = annotated(entry(name, port, sound, { ip: NOBODY }), {
      [CHECK]: how,
      [`${CHECK}-interval`]: '1s',
      [`${CHECK}-timeout`]: '300ms',
    });
    const host = `${name}.${space.name}.example`;
    await space.having([made], async () => {
      await until(
        'twenty requests in turn, and none of them waits',
        async () =>
          (await inTurn(20, () => client.ask({ kind, host, timeoutMs: 2_000 }))).every(
            (outcome) => podOf(outcome) === 'sound',
          ),
        patience,
      );
      expect(await countedOf('endpoints', host, { state: 'failing_health_checks' })).toBeGreaterThan(0);
      expect(await countedOf('endpoints', host, { state: 'healthy' })).toBeGreaterThan(0);
    });
  });
});

test('subsets of a DestinationRule have the labels that it says; a VirtualService leads to one, or shares', async () => {
  const host = space.host('placed');
  const subsets = object('networking.istio.io/v1', 'DestinationRule', 'placed', {
    host,
    subsets: ['v1', 'v2'].map((version) => ({ name: version, labels: { version } })),
  });
  const to = (subset: string, weight = 100) => ({
    destination: { host, subset, port: { number: PORTS.http } },
    weight,
  });
  const rules = object('networking.istio.io/v1', 'VirtualService', 'placed', {
    hosts: [host],
    http: [
      { match: [{ headers: { 'x-version': { exact: 'v2' } } }], route: [to('v2')] },
      { match: [{ uri: { prefix: '/shared' } }], route: [to('v1', 50), to('v2', 50)] },
      { match: [{ uri: { prefix: '/none' } }], route: [to('v9')] },
      { route: [to('v1')] },
    ],
  });
  const served = async (asked: Partial<Asked> = {}) => {
    const pods = new Set((await inTurn(20, () => ask('placed', asked))).map(podOf));
    return [...pods].map(String).toSorted((a, b) => a.localeCompare(b));
  };
  const second = { headers: { 'x-version': 'v2' } };
  await space.having([subsets, rules], async () => {
    await until('the second alone', async () => String(await served(second)) === 'there', patience);
    expect(await served()).toEqual(['good']);
    expect(await served({ path: '/shared' })).toEqual(['good', 'there']);
    expect(await ask('placed', { path: '/none' })).toMatchObject({
      error: expect.stringMatching(/^status 50[03]/),
    });
  });
  await until('both again', async () => String(await served(second)) === 'good,there', patience);
});

describe('zones', () => {
  beforeAll(async () => {
    const { client: api } = suite.cluster;
    const label = async (name: string, zone: string | null) => {
      await api.patch(nodes, { name }, { type: 'merge', body: { metadata: { labels: { [ZONE]: zone } } } });
    };
    for (const [index, name] of suite.nodes.entries()) {
      const { metadata } = await api.get(nodes, { name });
      const before = metadata.labels?.[ZONE] ?? null;
      suite.atEnd(() => label(name, before));
      await label(name, `zone-${index}`);
    }
  });

  test('a Service that asks for it is served in the zone of the waypoint, and elsewhere while nobody there is well', async () => {
    const nodeOf = async () => {
      const { items } = await suite.cluster.client.list(pods, {
        namespace: space.name,
        labelSelector: `${GATEWAY_NAME}=waypoint`,
      });
      return new Map(items.filter(isReady).map(({ spec, status }) => [status?.podIP, spec?.nodeName]));
    };
    await until('a pod of the waypoint on each node', async () => {
      return new Set((await nodeOf()).values()).size === 2;
    });
    const near = (check: Readonly<Record<string, string>>) =>
      annotated(
        service(space.name, 'near', { selector: { place: 'any' }, trafficDistribution: 'PreferClose' }),
        check,
      );
    /** From the waypoint's node to the endpoint's. */
    const ways = async (from: EchoPod) => {
      const all = await nodeOf();
      const outcomes = await inTurn(20, () =>
        from.ask({ host: space.host('near'), timeoutMs: ASK_TIMEOUT_MS }),
      );
      const told = outcomes.map((outcome) =>
        outcome.ok ? `${all.get(outcome.server?.source)} ${outcome.server?.node}` : outcome.error,
      );
      return [...new Set(told)].sort().join();
    };
    const [one, two] = suite.nodes;
    const check = { 'ambit.mesh/health-check': 'http', 'ambit.mesh/health-check-interval': '1s' };
    await space.having([near(check)], async () => {
      // Clients prefer the waypoint of their zone as well.
      await until('the first zone to itself', async () => (await ways(client)) === `${one} ${one}`, patience);
      await until('the second, too', async () => (await ways(there)) === `${two} ${two}`, patience);
      await good.becomes({ status: 503 });
      await until(
        'the first zone to the second',
        async () => (await ways(client)) === `${one} ${two}`,
        patience,
      );
      await good.becomes({});
      await until('and to itself again', async () => (await ways(client)) === `${one} ${one}`, patience);
    });
  });
});
