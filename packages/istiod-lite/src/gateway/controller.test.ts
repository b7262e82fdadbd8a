import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Scheduler } from '@ambit/collections/scheduler';
import { type Clock, systemClock, systemRandom } from '@ambit/core/clock';
import { type Logger, LogRoot, silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import type { Condition, Deployment, Service } from '@ambit/kube/resources/core';
import type { Gateway, GatewayClass } from '@ambit/kube/resources/gateway';
import type { HorizontalPodAutoscaler } from '@ambit/kube/resources/scaling';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { configFrom } from '../config.ts';
import { watchInputs } from '../inputs.ts';
import { startClassStatuses } from './class-statuses.ts';
import { renderSettings } from './settings.ts';
import { startGatewayController } from './start.ts';

const GATEWAYS = '/apis/gateway.networking.k8s.io/v1/gateways';
const CLASSES = '/apis/gateway.networking.k8s.io/v1/gatewayclasses';
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const DEPLOYMENTS = '/apis/apps/v1/deployments';
const SERVICES = '/api/v1/services';
const ACCOUNTS = '/api/v1/serviceaccounts';
const CONFIG_MAPS = '/api/v1/configmaps';
const SLICES = '/apis/discovery.k8s.io/v1/endpointslices';
const AUTOSCALERS = '/apis/autoscaling/v2/horizontalpodautoscalers';
const BUDGETS = '/apis/policy/v1/poddisruptionbudgets';
const MADE = [ACCOUNTS, SERVICES, DEPLOYMENTS, AUTOSCALERS, BUDGETS];

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  for (const name of ['istio-system', 'shop']) api.put('/api/v1/namespaces', { metadata: { name } });
});
afterEach(() => scope.disposeAsync());

function start(
  env: Readonly<Record<string, string>> = {},
  log: Logger = silentLogger,
  clock: Clock = systemClock,
): AsyncDisposable {
  const common = { client, clock, random: systemRandom, log };
  const scheduler = new Scheduler({ onError: (_, __, error) => expect(error).toBeUndefined() });
  const meshConfig = { namespace: 'istio-system', name: 'istio' };
  const inputs = scope.use(watchInputs(client, { ...common, meshConfig, scheduler }));
  const config = configFrom(env);
  scope.use(startClassStatuses({ ...common, inputs, scheduler }));
  return scope.use(
    startGatewayController({
      ...common,
      inputs,
      settings: renderSettings(config, '1'),
      systemNamespace: 'istio-system',
      scheduler,
    }),
  );
}

async function eventually<T>(what: () => T | undefined | false): Promise<T> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 10_000; turn += 1) {
    const value = what();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`never came true: ${what.toString()}`);
}
const quiet = () => api.quiet();

function loggerInto(lines: string[]): Logger {
  const destination = { write: (line: string) => void lines.push(line) };
  return new LogRoot({ filter: { base: 'info', scopes: new Map() }, format: 'plain', destination }).scope(
    'test',
  );
}

const find = <T extends KubeObject>(path: string, name: string) =>
  api.find(path, 'shop', name) as T | undefined;
const made = (name: string) => MADE.filter((path) => find(path, name)).length;
const writes = () => api.requests.filter((line) => /^(PATCH|POST|DELETE)/.test(line));
const condition = (name: string, type: string): Condition | undefined =>
  find<Gateway>(GATEWAYS, name)?.status?.conditions?.find((one) => one.type === type);

function putGateway(name: string, over: Partial<Gateway['metadata']> = {}, spec: Gateway['spec'] = {}): void {
  const known = find<Gateway>(GATEWAYS, name);
  api.put(GATEWAYS, {
    ...known,
    metadata: { namespace: 'shop', name, generation: 1, ...over },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
      ...spec,
    },
  } as Gateway);
}
const parameters = (name: string) => ({
  infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name } },
});
const putConfigMap = (name: string, data: Readonly<Record<string, string>>, meta: object = {}) =>
  api.put(CONFIG_MAPS, { metadata: { namespace: 'shop', name, ...meta }, data } as KubeObject);
/** What the cluster does when a pod of it is ready. */
function answers(name: string): void {
  api.put(SERVICES, {
    ...find<Service>(SERVICES, name),
    spec: { ...find<Service>(SERVICES, name)?.spec, clusterIPs: ['10.1.0.9'] },
  } as Service);
  api.put(SLICES, {
    metadata: { namespace: 'shop', name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'mesh', port: 15_008 }],
    endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
  } as KubeObject);
}

describe('a Gateway of class istio-waypoint', () => {
  test('becomes five objects, applied once, and is programmed when an instance is ready', async () => {
    start();
    putGateway('w');
    await eventually(() => made('w') === 5);
    const applied = writes().filter(
      (line) => line.includes('/namespaces/shop/') && !line.includes('/status'),
    );
    expect(applied).toHaveLength(5);
    for (const line of applied)
      expect(line).toMatch(/^PATCH .*\/w\?force=true&fieldManager=istio.io%2Fgateway-controller$/);
    await eventually(() => condition('w', 'Programmed')?.reason === 'AddressNotAssigned');
    answers('w');
    await eventually(() => condition('w', 'Programmed')?.status === 'True');
    // The Service and who answers for it are seen by watches of their own, in either order.
    const addresses = () => find<Gateway>(GATEWAYS, 'w')?.status?.addresses;
    await eventually(() => addresses()?.length === 2);
    expect(addresses()).toEqual([
      { type: 'IPAddress', value: '10.1.0.9' },
      { type: 'Hostname', value: 'w.shop.svc.cluster.local' },
    ]);
    await quiet();
    const before = writes().length;
    // What changes all the time and is nobody's here.
    api.put(DEPLOYMENTS, {
      ...find<Deployment>(DEPLOYMENTS, 'w'),
      status: { readyReplicas: 1 },
    } as Deployment);
    await quiet();
    expect(writes()).toHaveLength(before);
  });

  test('what others change of its objects is put back, what they delete is made again', async () => {
    start();
    putGateway('w');
    await eventually(() => made('w') === 5);
    await quiet();
    const deployment = find<Deployment>(DEPLOYMENTS, 'w') as Deployment;
    api.put(DEPLOYMENTS, { ...deployment, spec: {} } as Deployment);
    await eventually(() => find<Deployment>(DEPLOYMENTS, 'w')?.spec?.template);
    api.remove(SERVICES, 'shop', 'w');
    await eventually(() => find(SERVICES, 'w'));
  });

  test('follows its own changes, those of its overlays and of the defaults of its class', async () => {
    putConfigMap('options', { deployment: 'metadata: {labels: {a: b}}' });
    start();
    putGateway('w', {}, parameters('options'));
    const labels = () => find<Deployment>(DEPLOYMENTS, 'w')?.metadata.labels ?? {};
    await eventually(() => labels()['a'] === 'b');
    putConfigMap('options', {
      deployment: 'metadata: {labels: {a: c}}',
      horizontalPodAutoscaler: '$patch: delete',
    });
    await eventually(() => labels()['a'] === 'c' && !find(AUTOSCALERS, 'w'));
    expect(find<Deployment>(DEPLOYMENTS, 'w')?.spec?.replicas).toBe(2);
    putConfigMap('options', {});
    await eventually(() => find<HorizontalPodAutoscaler>(AUTOSCALERS, 'w'));
    const defaults = {
      namespace: 'istio-system',
      labels: { 'gateway.istio.io/defaults-for-class': 'istio-waypoint' },
    };
    putConfigMap('defaults', { deployment: 'metadata: {labels: {d: e}}' }, defaults);
    await eventually(() => labels()['d'] === 'e');
    putGateway('w', { labels: { team: 'x' } }, parameters('options'));
    await eventually(() => labels()['team'] === 'x');
  });

  test('of ConfigMaps, those are asked for that it has to do with', async () => {
    putConfigMap('options', {});
    start();
    putGateway('w', {}, parameters('options'));
    await eventually(() => made('w') === 5);
    await quiet();
    const asked = api.requests
      .filter((line) => line.includes('/configmaps?'))
      .map((line) => {
        const { pathname, searchParams } = new URL(line.replace('GET ', 'http://api'));
        return `${pathname} ${searchParams.get('labelSelector') ?? searchParams.get('fieldSelector') ?? ''}`;
      });
    expect(new Set(asked)).toEqual(
      new Set([
        '/api/v1/namespaces/istio-system/configmaps metadata.name=istio',
        '/api/v1/namespaces/istio-system/configmaps gateway.istio.io/defaults-for-class',
        '/api/v1/namespaces/shop/configmaps metadata.name=options',
      ]),
    );
  });

  test('what was made under another name goes', async () => {
    start();
    putGateway('w');
    await eventually(() => made('w') === 5);
    putGateway('w', { annotations: { 'gateway.istio.io/name-override': 'other' } });
    await eventually(() => made('other') === 4 && made('w') === 1);
    expect(find(ACCOUNTS, 'w')).toBeDefined();
  });

  test('an object that stands in its way is left alone, and its status says so', async () => {
    api.put(SERVICES, {
      metadata: { namespace: 'shop', name: 'w' },
      spec: { clusterIPs: ['10.1.0.1'] },
    } as Service);
    start();
    putGateway('w');
    const said = await eventually(
      () => condition('w', 'Programmed')?.reason === 'Invalid' && condition('w', 'Programmed'),
    );
    expect(said.message).toBe(
      'Service shop/w is there already and was not made for this Gateway, so it is left alone',
    );
    expect(find<Service>(SERVICES, 'w')?.spec).toEqual({ clusterIPs: ['10.1.0.1'] });
    expect(find(DEPLOYMENTS, 'w')).toBeUndefined();
  });

  test('one that no ConfigMap can be called is not there, and nobody asks for it', async () => {
    start();
    putGateway('w', {}, parameters('a=b'));
    await eventually(() => condition('w', 'Accepted')?.message?.includes('ConfigMap shop/a=b was not found'));
    expect(api.requests.filter((line) => line.includes('a%3Db'))).toEqual([]);
  });

  test('so is one that has its labels and is of no Gateway', async () => {
    const labels = {
      'gateway.networking.k8s.io/gateway-name': 'w',
      'gateway.istio.io/managed': 'istio.io-mesh-controller',
    };
    api.put(DEPLOYMENTS, { metadata: { namespace: 'shop', name: 'w', labels }, spec: {} } as Deployment);
    start();
    putGateway('w');
    await eventually(() => condition('w', 'Programmed')?.reason === 'Invalid');
    expect(find<Deployment>(DEPLOYMENTS, 'w')?.spec).toEqual({});
  });

  test('so is one that was made for another Gateway', async () => {
    start();
    putGateway('a');
    await eventually(() => made('a') === 5);
    putGateway('b', { annotations: { 'gateway.istio.io/name-override': 'a' } });
    await eventually(() => condition('b', 'Programmed')?.reason === 'Invalid');
    expect(find(DEPLOYMENTS, 'a')?.metadata.ownerReferences?.[0]?.name).toBe('a');
  });

  test('one that Istio made is taken over', async () => {
    const labels = {
      'gateway.networking.k8s.io/gateway-name': 'w',
      'gateway.istio.io/managed': 'istio.io-mesh-controller',
    };
    const apiVersion = 'gateway.networking.k8s.io/v1beta1';
    const ownerReferences = [{ apiVersion, kind: 'Gateway', name: 'w', uid: 'u' }];
    api.put(DEPLOYMENTS, {
      metadata: { namespace: 'shop', name: 'w', labels, ownerReferences },
      spec: {},
    } as Deployment);
    start();
    putGateway('w');
    await eventually(() => find<Deployment>(DEPLOYMENTS, 'w')?.spec?.template);
  });

  test.each([
    ['a refusal', 403, 'Invalid'],
    ['a server that is busy', 503, 'AddressNotAssigned'],
  ])('%s is told in its status where it is for the user to mend', async (_, status, reason) => {
    api.intercept = (method, path) =>
      method === 'PATCH' && path.includes('/deployments/')
        ? { status, body: { reason: 'Forbidden', message: 'exceeded quota' } }
        : undefined;
    start();
    putGateway('w');
    await eventually(() => condition('w', 'Programmed')?.reason === reason);
    api.intercept = undefined;
    await eventually(() => find(DEPLOYMENTS, 'w'));
    await eventually(() => condition('w', 'Programmed')?.reason === 'AddressNotAssigned');
  });

  test('parameters that are not there: nothing is made until they are', async () => {
    start();
    putGateway('w', {}, parameters('options'));
    await eventually(() => condition('w', 'Accepted')?.reason === 'InvalidParameters');
    expect(made('w')).toBe(0);
    putConfigMap('options', {});
    await eventually(() => made('w') === 5 && condition('w', 'Accepted')?.reason === 'Accepted');
  });

  test('one that its user runs: nothing is made, its status tells of it', async () => {
    start();
    putGateway('w', {}, { addresses: [{ type: 'Hostname', value: 'mine' }] });
    api.put(SERVICES, {
      metadata: { namespace: 'shop', name: 'mine' },
      spec: { clusterIPs: ['10.1.0.1'], ports: [{ name: 'mesh', port: 15_008 }] },
    } as Service);
    answers('mine');
    await eventually(() => condition('w', 'Programmed')?.status === 'True');
    expect(made('w')).toBe(0);
  });

  test('of another revision: nothing is made, nothing is said', async () => {
    start();
    putGateway('theirs', { labels: { 'istio.io/rev': 'canary' } });
    putGateway('ours');
    await eventually(() => condition('ours', 'Accepted'));
    await quiet();
    expect([made('theirs'), find<Gateway>(GATEWAYS, 'theirs')?.status]).toEqual([0, undefined]);
  });

  test('of a tag of another revision: theirs; and so is the default once they are', async () => {
    const tag = (name: string, revision: string) =>
      api.put('/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', {
        metadata: { name, labels: { 'istio.io/tag': name, 'istio.io/rev': revision } },
      });
    tag('stable', 'default');
    tag('next', 'canary');
    start();
    putGateway('ours', { labels: { 'istio.io/rev': 'stable' } });
    putGateway('theirs', { labels: { 'istio.io/rev': 'next' } });
    await eventually(() => made('ours') === 5);
    tag('default', 'canary');
    await quiet();
    putGateway('later');
    await quiet();
    expect([made('theirs'), made('later'), made('ours')]).toEqual([0, 0, 5]);
    tag('next', 'default');
    await eventually(() => made('theirs') === 5);
  });

  test('that a tag has made another revision’s is told, once, with what to do; and when it is over', async () => {
    const log: string[] = [];
    const tags = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    const name = 'istio-revision-tag-default';
    api.put(tags, { metadata: { name, labels: { 'istio.io/tag': 'default', 'istio.io/rev': 'gone' } } });
    start({}, loggerInto(log));
    const said = await eventually(() => log.find((line) => line.includes('tag "default"')));
    expect(said).toContain('Gateways without istio.io/rev are left alone');
    expect(said).toContain('stands for revision "gone"');
    expect(said).toContain('kubectl delete mutatingwebhookconfiguration istio-revision-tag-default');
    api.put(tags, {
      metadata: { name, labels: { 'istio.io/tag': 'default', 'istio.io/rev': 'gone', other: 'label' } },
    });
    await quiet();
    expect(log.filter((line) => line.includes('tag "default"'))).toHaveLength(1);
    api.remove(tags, '', name);
    await eventually(() => log.some((line) => line.includes('are this control plane’s again')));
  });

  test('of which nobody may tell whose they are: nothing is made, and that is said', async () => {
    const log: string[] = [];
    api.intercept = (_, path) =>
      path.includes('mutatingwebhookconfigurations')
        ? {
            status: 403,
            body: { reason: 'Forbidden', message: 'mutatingwebhookconfigurations is forbidden' },
          }
        : undefined;
    const soon = { ...systemClock, after: (ms: number, run: () => void) => systemClock.after(ms / 50, run) };
    start({}, loggerInto(log), soon);
    putGateway('w');
    await eventually(() => log.some((line) => line.includes('waypoints are left as they are until')));
    await eventually(() => log.some((line) => line.includes('mutatingwebhookconfigurations is forbidden')));
    expect([made('w'), condition('w', 'Accepted')]).toEqual([0, undefined]);
    api.intercept = undefined;
    await eventually(() => made('w') === 5);
  });

  test('ended, it changes nothing any more', async () => {
    const controller = start();
    putGateway('w');
    await eventually(() => made('w') === 5);
    await controller[Symbol.asyncDispose]();
    putGateway('x');
    api.remove(DEPLOYMENTS, 'shop', 'w');
    await quiet();
    expect([made('x'), made('w')]).toEqual([0, 4]);
  });
});

test('a Gateway that is given another class keeps nothing of ours; of a class that is gone, everything', async () => {
  for (const [name, controllerName] of [
    ['ours', 'istio.io/mesh-controller'],
    ['theirs', 'example.com/x'],
  ] as const)
    api.put(CLASSES, { metadata: { name }, spec: { controllerName } } as KubeObject);
  start();
  for (const name of ['w', 'x']) putGateway(name, { uid: `uid-of-${name}` }, { gatewayClassName: 'ours' });
  await eventually(() => made('w') === 5 && made('x') === 5);
  putGateway('w', { generation: 2 }, { gatewayClassName: 'theirs' });
  await eventually(() => made('w') === 0);
  await eventually(() => (find<Gateway>(GATEWAYS, 'w')?.status?.conditions ?? []).length === 0);
  putGateway('x', { generation: 2 }, { gatewayClassName: 'nobodys' });
  await quiet();
  expect(made('x')).toBe(5);
});

describe('its class', () => {
  const find = () => api.find(CLASSES, '', 'istio-waypoint') as GatewayClass | undefined;
  /** As releases of the Gateway API have it. */
  const define = (supportedFeatures: object | undefined) => {
    const status = { properties: { conditions: {}, ...(supportedFeatures && { supportedFeatures }) } };
    const openAPIV3Schema = { properties: { status } };
    api.put(DEFINITIONS, {
      metadata: { name: 'gatewayclasses.gateway.networking.k8s.io' },
      spec: { versions: [{ name: 'v1', schema: { openAPIV3Schema } }, { name: 'v1beta1' }] },
    } as KubeObject);
  };
  beforeEach(() => define({ type: 'array', items: { type: 'object' } }));
  const isOfFeatures = (line: string) => line.includes('gateway-controller-features');

  test('is made, made again, and says that it is handled; also after its status was wiped', async () => {
    start();
    await eventually(() =>
      find()?.status?.conditions?.some(({ type, status }) => type === 'Accepted' && status === 'True'),
    );
    expect(find()?.spec?.controllerName).toBe('istio.io/mesh-controller');
    await eventually(() => find()?.status?.supportedFeatures?.some(({ name }) => name === 'Mesh'));
    const { status: _, ...wiped } = find() as GatewayClass;
    api.put(CLASSES, { ...wiped, status: {} } as KubeObject);
    await eventually(() => find()?.status?.conditions?.length === 1);
    api.remove(CLASSES, '', 'istio-waypoint');
    await eventually(find);
  });

  test('stays as it is where it is, and those of others are theirs', async () => {
    api.put(CLASSES, {
      metadata: { name: 'istio-waypoint', labels: { a: 'b' } },
      spec: { controllerName: 'istio.io/mesh-controller' },
    } as KubeObject);
    api.put(CLASSES, {
      metadata: { name: 'other' },
      spec: { controllerName: 'example.com/x' },
    } as KubeObject);
    start();
    await eventually(() => find()?.status?.conditions);
    expect(find()?.metadata.labels).toEqual({ a: 'b' });
    expect((api.find(CLASSES, '', 'other') as GatewayClass).status).toBeUndefined();
  });

  test.each([
    ['no field', undefined],
    ['a field of words', { type: 'array', items: { type: 'string' } }],
  ])('of an older Gateway API with %s for features says none, until there is one', async (_, field) => {
    define(field);
    start();
    await eventually(() => find()?.status?.conditions);
    await quiet();
    expect(api.requests.filter(isOfFeatures)).toEqual([]);
    define({ type: 'array', items: { type: 'object' } });
    await eventually(() => find()?.status?.supportedFeatures);
  });

  test('waits for the Gateway API without asking all the time', async () => {
    api.unknown.add(CLASSES);
    start();
    await eventually(() => api.requests.some((line) => line.startsWith('POST')));
    await quiet();
    expect(api.requests.filter((line) => line.startsWith('POST'))).toHaveLength(1);
  });
});
