import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { deployments, namespaces, pods, services } from '@ambit/kube/resources/core';
import { type Gateway, gateways } from '@ambit/kube/resources/gateway';
import { horizontalPodAutoscalers, podDisruptionBudgets } from '@ambit/kube/resources/scaling';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import { type Asked, type EchoPod, KINDS } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { EVERYBODY, eventually, LED, type Patience, throughout, until } from './kit/wait.ts';
import { overlays, policyFor, route, waypoint } from './kit/waypoint-objects.ts';

const suite = useSuite('waypoint');
const rows = new Rows();
/** Only a proxy that reads requests adds it. */
const PROOF = 'x-request-id';
const USE = 'istio.io/use-waypoint';
const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
const START: Patience = { ...LED, everyMs: 500 };
const SPLIT_REQUESTS = 60;

let space: Space;
let apart: Space;
let client: EchoPod;
let other: EchoPod;
let second: EchoPod;

const ambit = (...args: readonly string[]) => runAmbit(suite.cluster, ...args);
const patience = LED;
/** A waypoint has two pods, which hear of a change each in its own time. */
const settled: Patience = { inARow: EVERYBODY };

/** What the server says of a request, if it comes through. */
async function heard(from: EchoPod, asked: Asked) {
  const outcome = await from.ask({ timeoutMs: 10_000, ...asked });
  return outcome.ok ? outcome.server : undefined;
}
const isRead = async (from: EchoPod, asked: Asked) =>
  (await heard(from, asked))?.headers?.[PROOF] !== undefined;
/** Waits until requests are read by a waypoint, or until they come through without one. */
const untilRead = (from: EchoPod, asked: Asked) =>
  until(`requests to ${asked.host} at L7`, () => isRead(from, asked), settled);
const untilNotRead = (from: EchoPod, asked: Asked) =>
  until(
    `requests to ${asked.host} at L4`,
    async () => {
      const server = await heard(from, asked);
      return server !== undefined && server.headers?.[PROOF] === undefined;
    },
    settled,
  );
/** Whether a request comes to the application from a pod of this waypoint. */
const isThrough = async (name: string, from: EchoPod, asked: Asked) => {
  const source = (await heard(from, asked))?.source;
  // Pods that came meanwhile included.
  return source !== undefined && (await podsOf(name)).some(({ status }) => status?.podIP === source);
};

async function podsOf(name: string, namespace = space.name) {
  const { items } = await suite.cluster.client.list(pods, {
    namespace,
    labelSelector: `${GATEWAY_NAME}=${name}`,
  });
  return items;
}

/** Two pods by the autoscaler, all ready, and programmed. */
async function running(name: string, replicas = 2) {
  return await eventually(
    `waypoint ${name} with ${replicas} pods`,
    () => podsOf(name),
    (all) => all.length === replicas && all.every(isReady),
    START,
  );
}

async function programmed(name: string): Promise<Gateway> {
  return await eventually(
    `waypoint ${name} programmed`,
    () => suite.cluster.client.get(gateways, { namespace: space.name, name }),
    ({ status }) => conditionOf(status?.conditions, 'Programmed') === 'True',
    START,
  );
}

const conditionOf = (
  conditions: readonly { readonly type: string; readonly status: string }[] | undefined,
  type: string,
) => conditions?.find((one) => one.type === type)?.status;

async function label(kind: 'service' | 'pod', name: string, use: string | null): Promise<void> {
  const patch = { type: 'merge', body: { metadata: { labels: { [USE]: use } } } } as const;
  const { client: api } = suite.cluster;
  if (kind === 'service') await api.patch(services, { namespace: space.name, name }, patch);
  else await api.patch(pods, { namespace: space.name, name }, patch);
}

beforeAll(async () => {
  const [one, two] = suite.nodes;
  space = await suite.space('app', 'ambient');
  apart = await suite.space('apart', 'ambient');
  await space.apply(serviceAccount(space.name, 'client'), serviceAccount(space.name, 'other'));
  [client, other, second] = (await space.run(
    { name: 'client', node: one, serviceAccount: 'client' },
    { name: 'other', node: two, serviceAccount: 'other' },
    { name: 'second', node: two },
    { name: 'first', node: one },
  )) as [EchoPod, EchoPod, EchoPod];
  await apart.run({ name: 'far', node: two });
  await space.enrolled(true, 'client', 'other', 'first', 'second');
  await apart.enrolled(true, 'far');
});
afterAll(() => rows.print());

describe('ambit waypoint', () => {
  test('apply makes one, labels the namespace, and ends when it is ready', async () => {
    expect(await isRead(client, { host: space.host('first') })).toBe(false);
    const patiently = ['--waypoint-timeout', '150s'];
    const said = await ambit('waypoint', 'apply', '-n', space.name, '--enroll-namespace', ...patiently);
    expect(said).toEqual({
      status: 0,
      text: `waypoint ${space.name}/waypoint is ready\nnamespace ${space.name} labelled ${USE}=waypoint\n`,
    });
    const { status } = await programmed('waypoint');
    const { spec } = await suite.cluster.client.get(services, { namespace: space.name, name: 'waypoint' });
    expect(status?.addresses).toEqual([
      ...(spec?.clusterIPs ?? []).map((value) => ({ type: 'IPAddress', value })),
      { type: 'Hostname', value: space.host('waypoint') },
    ]);
    await running('waypoint');
    await untilRead(client, { host: space.host('first') });
  });

  test('list, status and the status of the mesh tell of it', async () => {
    expect((await ambit('waypoint', 'list', '-n', space.name)).text).toMatch(
      /^NAME +REVISION +TRAFFIC TYPE +PROGRAMMED\nwaypoint +default +service +True\n$/,
    );
    const said = await ambit('waypoint', 'status', '-n', space.name);
    expect(said.status).toBe(0);
    expect(said.text).toContain(`assigned to service(s) ${space.host('waypoint')}:15008`);
    await until('both pods are told', async () =>
      new RegExp(`${space.name}/waypoint +service +2/2 +True`).test((await ambit('status')).text),
    );
  });

  test('its objects are those of a restricted namespace', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await suite.cluster.client.patch(
      namespaces,
      { name: space.name },
      { type: 'merge', body: { metadata: { labels } } },
    );
    const [pod] = await podsOf('waypoint');
    await suite.cluster.client.delete(pods, pod?.metadata ?? { name: '' });
    await until(
      'another pod in its place',
      async () => (await podsOf('waypoint')).every(({ metadata }) => metadata.uid !== pod?.metadata.uid),
      START,
    );
    await running('waypoint');
  });
});

describe('what goes through it', () => {
  beforeAll(() => untilRead(client, { host: space.host('second') }));

  test.each(KINDS)('%s', async (kind) => {
    const { server } = await client.mustReach({ kind, host: space.host('second'), timeoutMs: 10_000 });
    if (kind === 'tcp') return;
    expect(server?.pod).toBe('second');
    // It comes from one of the waypoint's pods, as that is where the request was read.
    const ips = (await podsOf('waypoint')).map(({ status }) => status?.podIP);
    expect(ips).toContain(server?.source);
    if (kind !== 'greeting') expect(server?.headers).toHaveProperty(PROOF);
  });

  test('to a pod by its address it does not go, as the waypoint is for services', async () => {
    expect(await isRead(client, { host: second.ip })).toBe(false);
  });

  test('who asks for none goes on without', async () => {
    await label('service', 'second', 'none');
    await untilNotRead(client, { host: space.host('second') });
    expect(await isRead(client, { host: space.host('first') })).toBe(true);
    await label('service', 'second', null);
    await untilRead(client, { host: space.host('second') });
  });
});

describe('routes and policies', () => {
  const why = (from: string, ...request: readonly string[]) =>
    ambit('why', `${space.name}/${from}`, `${space.name}/first:${PORTS.http}`, ...request);
  const to = (name: string, weight = 1) => ({ name, port: PORTS.http, weight });

  test('a header decides where a request goes', async () => {
    const matches = [{ headers: [{ name: 'x-version', value: 'two' }] }];
    const rules = [{ matches, backendRefs: [to('second')] }, { backendRefs: [to('first')] }];
    await space.having(
      [route('HTTPRoute', space.name, 'by-header', 'first', PORTS.http, rules)],
      async () => {
        const asked = { host: space.host('first'), headers: { 'x-version': 'two' } };
        await until('the route', async () => (await heard(client, asked))?.pod === 'second', settled);
        const { server } = await client.mustReach({ host: space.host('first') });
        expect(server?.pod).toBe('first');
      },
    );
    const asked = { host: space.host('first'), headers: { 'x-version': 'two' } };
    await until('no route', async () => (await heard(client, asked))?.pod === 'first', settled);
  });

  test('weights split requests', async () => {
    const split = (one: number, two: number) =>
      route('HTTPRoute', space.name, 'split', 'first', PORTS.http, [
        { backendRefs: [to('first', one), to('second', two)], filters: [marking(one, two)] },
      ]);
    const weights = (one: number, two: number) => `${one}:${two}`;
    /** Each request tells by which weights it was sent. */
    const marking = (one: number, two: number) => ({
      type: 'RequestHeaderModifier',
      requestHeaderModifier: { set: [{ name: 'x-weights', value: weights(one, two) }] },
    });
    const untilSplit = (one: number, two: number) =>
      until(
        `weights ${weights(one, two)}`,
        async () => {
          const server = await heard(client, { host: space.host('first') });
          return server?.headers?.['x-weights'] === weights(one, two);
        },
        settled,
      );
    const shares = async () => {
      const load = await client.load({
        host: space.host('first'),
        connections: 'new',
        requestsPerSecond: 30,
        timeoutMs: 30_000,
      });
      await load.hasServed(SPLIT_REQUESTS);
      const { servers, failed } = await load.end();
      expect(failed).toBe(0);
      return servers;
    };
    await space.having([split(0, 1)], async () => {
      await untilSplit(0, 1);
      expect(Object.keys(await shares())).toEqual(['second']);
      await space.apply(split(1, 1));
      await untilSplit(1, 1);
      const { first: toFirst = 0, second: toSecond = 0 } = await shares();
      // Sixty fair coins: fewer than ten of a kind come up once in ten million runs.
      expect(Math.min(toFirst, toSecond)).toBeGreaterThanOrEqual(10);
    });
  });

  test('a method may be refused to one caller, with 403, and to no other', async () => {
    const principal = (name: string) => `cluster.local/ns/${space.name}/sa/${name}`;
    const deny = policyFor(space.name, 'no-delete', 'first', {
      action: 'DENY',
      rules: [
        {
          from: [{ source: { principals: [principal('other')] } }],
          to: [{ operation: { methods: ['DELETE'] } }],
        },
      ],
    });
    const asked = { host: space.host('first'), method: 'DELETE' };
    await space.having([deny], async () => {
      const refused = await eventually(
        'a refusal',
        () => other.ask(asked),
        (outcome) => !outcome.ok && outcome.error.startsWith('status '),
        settled,
      );
      expect(refused).toMatchObject({
        ok: false,
        error: expect.stringMatching(/^status 403: RBAC: access denied/),
      });
      await other.mustReach({ host: space.host('first') });
      await client.mustReach(asked);
      expect(await why('other', '--method', 'DELETE')).toMatchObject({
        status: 3,
        text: expect.stringContaining(`${space.name}/no-delete`),
      });
      expect((await why('other', '--method', 'GET')).status).toBe(0);
      expect((await why('client', '--method', 'DELETE')).status).toBe(0);
    });
    await until('no refusal', async () => (await other.ask(asked)).ok, settled);
  });
});

describe('which waypoint', () => {
  test('one for workloads takes what goes to a pod by its address, and no service', async () => {
    await space.having(
      [waypoint(space.name, 'pods', { labels: { 'istio.io/waypoint-for': 'workload' } })],
      async () => {
        await programmed('pods');
        await label('pod', 'second', 'pods');
        await untilRead(client, { host: second.ip });
        expect(await isThrough('pods', client, { host: second.ip })).toBe(true);
        await label('pod', 'second', null);
        await untilNotRead(client, { host: second.ip });
      },
    );
  });

  test("one for all takes both, and a service's own goes before its namespace's", async () => {
    await space.having(
      [waypoint(space.name, 'both', { labels: { 'istio.io/waypoint-for': 'all' } })],
      async () => {
        await programmed('both');
        await label('pod', 'second', 'both');
        await label('service', 'second', 'both');
        await untilRead(client, { host: second.ip });
        await until(
          'the service through it',
          () => isThrough('both', client, { host: space.host('second') }),
          settled,
        );
        // The other service still has the namespace's.
        expect(await isThrough('waypoint', client, { host: space.host('first') })).toBe(true);
        await label('pod', 'second', null);
        await label('service', 'second', null);
        await untilNotRead(client, { host: second.ip });
      },
    );
  });

  test('one for none takes nothing, and the service says so', async () => {
    await space.having(
      [waypoint(space.name, 'idle', { labels: { 'istio.io/waypoint-for': 'none' } })],
      async () => {
        await programmed('idle');
        await label('service', 'second', 'idle');
        const said = await boundTo('second', 'UnsupportedTrafficType');
        expect(said).toContain(`${space.name}/idle`);
        await untilNotRead(client, { host: space.host('second') });
        await label('service', 'second', null);
      },
    );
  });

  test('one that is not there: traffic goes on without, and the service says so', async () => {
    await label('service', 'second', 'bogus');
    await boundTo('second', 'WaypointIsNotReady');
    await untilNotRead(client, { host: space.host('second') });
    await label('service', 'second', null);
    await untilRead(client, { host: space.host('second') });
  });

  test("another namespace's, where its listener lets that in", async () => {
    const labels = { [USE]: 'shared', 'istio.io/use-waypoint-namespace': space.name };
    const wish = (values: object) =>
      suite.cluster.client.patch(
        namespaces,
        { name: apart.name },
        { type: 'merge', body: { metadata: { labels: values } } },
      );
    await space.having([waypoint(space.name, 'shared', { from: 'Same' })], async () => {
      await programmed('shared');
      await wish(labels);
      await boundTo('far', 'AttachmentDenied', apart.name);
      expect(await isRead(client, { host: apart.host('far') })).toBe(false);
      await space.apply(waypoint(space.name, 'shared', { from: 'All' }));
      await untilRead(client, { host: apart.host('far') });
      await wish({ [USE]: null, 'istio.io/use-waypoint-namespace': null });
      await untilNotRead(client, { host: apart.host('far') });
    });
  });

  /** The reason why a Service is not bound, and the sentence with it. */
  async function boundTo(name: string, reason: string, namespace = space.name): Promise<string> {
    const { status } = await eventually(
      `${name}: ${reason}`,
      () => suite.cluster.client.get(services, { namespace, name }),
      (service) =>
        service.status?.conditions?.some(
          (one) => one.type === 'istio.io/WaypointBound' && one.reason === reason,
        ) ?? false,
      patience,
    );
    return status?.conditions?.find(({ type }) => type === 'istio.io/WaypointBound')?.message ?? '';
  }
});

describe('what istiod keeps', () => {
  interface Graceful {
    readonly terminationGracePeriodSeconds?: number;
  }
  const at = (name: string) => ({ namespace: space.name, name });
  const template = (annotation: string) =>
    `spec: {template: {metadata: {annotations: {ambit.e2e/template: "${annotation}"}}}}`;
  const named = waypoint('', 'waypoint', { parameters: 'options' });
  const own = (object: KubeObject): KubeObject => ({
    ...object,
    metadata: { ...object.metadata, namespace: space.name },
  });

  test('another template rolls its pods, and no request is lost', async () => {
    await space.apply(overlays(space.name, 'options', { deployment: template('one') }), own(named));
    await rolled('one');
    const disturbed = await underLoad(client, space.host('first'), async () => {
      await space.apply(overlays(space.name, 'options', { deployment: template('two') }));
      await rolled('two');
    });
    rows.add('rollout of a waypoint of 2 pods', disturbed);
    expect(lost(disturbed)).toEqual([]);
    expect(disturbed.fresh.ok).toBeGreaterThan(100);
  });

  test('a pod of it deleted under load: no request is lost', async () => {
    const disturbed = await underLoad(client, space.host('first'), async () => {
      const [pod] = await podsOf('waypoint');
      await suite.cluster.client.delete(pods, pod?.metadata ?? { name: '' });
      await until(
        'the pod gone',
        async () => (await podsOf('waypoint')).every(({ metadata }) => metadata.uid !== pod?.metadata.uid),
        START,
      );
      await running('waypoint');
    });
    rows.add('deletion of 1 of 2 pods of a waypoint', disturbed);
    expect(lost(disturbed)).toEqual([]);
  });

  test('of two pods one may be evicted at a time, and no request is lost', async () => {
    const [first, second] = await running('waypoint');
    expect(first?.spec?.nodeName).not.toBe(second?.spec?.nodeName);
    await until(
      'room in the budget',
      async () => {
        const budget = await suite.cluster.client.get(podDisruptionBudgets, at('waypoint'));
        return (
          (budget as { readonly status?: { readonly disruptionsAllowed?: number } }).status
            ?.disruptionsAllowed === 1
        );
      },
      patience,
    );
    const disturbed = await underLoad(client, space.host('first'), async () => {
      // At once: a little later there may be another pod already, and room for the next.
      const both = [first, second];
      const asked = await Promise.allSettled(both.map((pod) => evict(pod?.metadata.name)));
      const refusals = asked.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
      expect(refusals).toEqual([expect.stringMatching(/disruption budget/)]);
      const evicted = both[asked.findIndex(({ status }) => status === 'fulfilled')];
      await until(
        'the pod gone',
        async () =>
          (await podsOf('waypoint')).every(({ metadata }) => metadata.uid !== evicted?.metadata.uid),
        START,
      );
      await running('waypoint');
    });
    rows.add('eviction of 1 of 2 pods of a waypoint', disturbed);
    expect(lost(disturbed)).toEqual([]);
  });

  test('an overlay may have other replicas, another grace, another budget; and no autoscaler', async () => {
    const grace = async () =>
      (await podsOf('waypoint')).map(({ spec }) => (spec as Graceful).terminationGracePeriodSeconds);
    expect(await grace()).toEqual([30, 30]);
    await space.apply(
      overlays(space.name, 'options', {
        deployment: 'spec: {template: {spec: {terminationGracePeriodSeconds: 45}}}',
        horizontalPodAutoscaler: 'spec: {minReplicas: 3}',
        podDisruptionBudget: 'spec: {maxUnavailable: 2}',
      }),
    );
    await running('waypoint', 3);
    await until('another grace', async () => String(await grace()) === '45,45,45', START);
    await until(
      'another budget',
      async () =>
        (await suite.cluster.client.get(podDisruptionBudgets, at('waypoint'))).spec?.maxUnavailable === 2,
      patience,
    );
    await space.apply(overlays(space.name, 'options', { horizontalPodAutoscaler: '$patch: delete' }));
    await until(
      'no autoscaler',
      async () => (await suite.cluster.client.find(horizontalPodAutoscalers, at('waypoint'))) === undefined,
      patience,
    );
    await until('the grace of all', async () => String(await grace()) === '30,30', START);
    await running('waypoint');
    await space.apply(overlays(space.name, 'options', {}));
    await until(
      'the autoscaler again',
      async () => (await suite.cluster.client.find(horizontalPodAutoscalers, at('waypoint'))) !== undefined,
      patience,
    );
  });

  test('a waypoint that has nothing ready refuses, and says so; with pods again it serves again', async () => {
    await space.apply(overlays(space.name, 'options', { deployment: 'spec: {replicas: 0}' }));
    await until('no pods', async () => (await podsOf('waypoint')).length === 0, START);
    await client.eventuallyRefused({ host: space.host('first') });
    await throughout(
      'refused',
      async () => !(await client.ask({ host: space.host('first'), timeoutMs: 2_000 })).ok,
      2_000,
    );
    await until(
      'its status says so',
      async () => {
        const said = await ambit('waypoint', 'status', '-n', space.name, '--no-wait', 'waypoint');
        return /False +Programmed +AddressNotAssigned .*no instances found/.test(said.text);
      },
      patience,
    );
    const gateway = await suite.cluster.client.get(gateways, { namespace: space.name, name: 'waypoint' });
    expect(gateway.status?.addresses?.length).toBeGreaterThan(1);
    await space.apply(overlays(space.name, 'options', {}));
    await running('waypoint');
    await untilRead(client, { host: space.host('first') });
  });

  test('a Gateway of another revision is nobody here', async () => {
    await space.having(
      [waypoint(space.name, 'foreign', { labels: { 'istio.io/rev': 'elsewhere' } })],
      async () => {
        await throughout(
          'nothing is made',
          async () => {
            const at = { namespace: space.name, name: 'foreign' };
            const gateway = await suite.cluster.client.get(gateways, at);
            const made = await suite.cluster.client.find(deployments, at);
            return made === undefined && conditionOf(gateway.status?.conditions, 'Programmed') !== 'True';
          },
          3_000,
        );
      },
    );
  });

  /** As `kubectl drain` asks for it. */
  async function evict(name = ''): Promise<void> {
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: at(name) };
    const path = `/api/v1/namespaces/${space.name}/pods/${name}/eviction`;
    await suite.cluster.client.request({ method: 'POST', path, body: JSON.stringify(body) });
  }

  async function rolled(annotation: string): Promise<void> {
    await eventually(
      `pods of template ${annotation}`,
      () => podsOf('waypoint'),
      (all) =>
        all.length === 2 &&
        all.every(isReady) &&
        all.every(({ metadata }) => metadata.annotations?.['ambit.e2e/template'] === annotation),
      START,
    );
  }
});

test('deleted, everything of it goes, and requests go on without', async () => {
  const said = await ambit('waypoint', 'delete', '-n', space.name, '--all');
  expect(said.status).toBe(0);
  expect(said.text).toContain(`still labelled ${USE}, and now without a waypoint: namespace ${space.name}`);
  await until('no pods', async () => (await podsOf('waypoint')).length === 0, START);
  const at = { namespace: space.name, name: 'waypoint' };
  await until('no Deployment', async () => (await suite.cluster.client.find(deployments, at)) === undefined);
  await untilNotRead(client, { host: space.host('first') });
});
