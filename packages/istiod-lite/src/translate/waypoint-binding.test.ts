import { describe, expect, test } from '@jest/globals';
import type { Gateway, GatewayClass } from '@ambit/kube/resources/gateway';
import { translateWaypoint, type Waypoint } from './waypoint.ts';
import { type BindingQuestion, resolveWaypoint, type WaypointWishes } from './waypoint-binding.ts';

const ADDRESS = [{ type: 'IPAddress', value: '10.1.0.9' }];
const gateway = (over: Partial<Gateway['metadata']> = {}, spec: Gateway['spec'] = {}): Gateway => ({
  metadata: { namespace: 'shop', name: 'w', ...over },
  spec,
  status: { addresses: ADDRESS },
});
const hbone = (from: string, selector?: object) => ({
  listeners: [
    {
      name: 'mesh',
      port: 15_008,
      protocol: 'HBONE',
      allowedRoutes: { namespaces: { from, ...(selector && { selector }) } },
    },
  ],
});
const waypoint = (of: Gateway, gatewayClass?: GatewayClass): Waypoint => {
  const made = translateWaypoint(of, gatewayClass, 'net');
  if (!made) throw new Error('no waypoint');
  return made;
};

describe('translateWaypoint', () => {
  const cases: Record<string, { addresses?: readonly object[]; want: unknown }> = {
    'no address: not ready': { addresses: [], want: undefined },
    'no address that is one': { addresses: [{ type: 'IPAddress', value: 'soon' }], want: undefined },
    'an address of a kind that we do not know': {
      addresses: [{ type: 'example.com/x', value: '10.0.0.1' }],
      want: undefined,
    },
    'an IP': {
      addresses: ADDRESS,
      want: {
        destination: { $case: 'address', value: { network: 'net', address: Uint8Array.of(10, 1, 0, 9) } },
        hboneMtlsPort: 15_008,
      },
    },
    'a name goes before an IP': {
      addresses: [...ADDRESS, { type: 'Hostname', value: 'w.shop.svc.cluster.local' }],
      want: {
        destination: {
          $case: 'hostname',
          value: { namespace: 'shop', hostname: 'w.shop.svc.cluster.local' },
        },
        hboneMtlsPort: 15_008,
      },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { addresses, want }) => {
    const of = { ...gateway(), status: { addresses } } as Gateway;
    expect(translateWaypoint(of, undefined, 'net')?.address).toEqual(want);
  });

  const forLabel = (value: string) => ({ labels: { 'istio.io/waypoint-for': value } });
  test('what it takes: its own label, else that of its class, else services', () => {
    const gatewayClass: GatewayClass = { metadata: { name: 'c', ...forLabel('workload') } };
    expect(waypoint(gateway()).trafficType).toBe('service');
    expect(waypoint(gateway(), gatewayClass).trafficType).toBe('workload');
    expect(waypoint(gateway(forLabel('all')), gatewayClass).trafficType).toBe('all');
    expect(waypoint(gateway(forLabel('everything')), gatewayClass).trafficType).toBe('none');
  });

  const bound = (value: string) => ({ annotations: { 'ambient.istio.io/waypoint-inbound-binding': value } });
  const bindings: Record<string, unknown> = {
    PROXY: { protocol: 1, port: 0 },
    'PROXY/15088': { protocol: 1, port: 15_088 },
    'NONE/80': { protocol: 0, port: 80 },
    'NONE/0': undefined,
    'NONE/99999': undefined,
    'proxy/80': undefined,
    'PROXY/80/81': undefined,
  };
  test.each(Object.entries(bindings))('inbound binding %s', (value, want) => {
    expect(waypoint(gateway(bound(value))).applicationTunnel).toEqual(want);
    expect(waypoint(gateway(), { metadata: { name: 'c', ...bound(value) } }).applicationTunnel).toEqual(want);
  });

  test('who may use it is said by the listener that its traffic ends at', () => {
    const listeners = [
      { name: 'a', port: 15_088, protocol: 'istio.io/PROXY', allowedRoutes: { namespaces: { from: 'All' } } },
      ...hbone('Selector', { matchLabels: { team: 'a' } }).listeners,
    ];
    const admits = (annotation?: string) =>
      waypoint(gateway(annotation === undefined ? {} : bound(annotation), { listeners })).admits;
    expect(admits()).toEqual({ from: 'selected', selector: { matchLabels: { team: 'a' } } });
    expect(admits('PROXY')).toEqual({ from: 'all' });
    expect(admits('NONE/15088')).toEqual({ from: 'all' });
    expect(admits('NONE')).toMatchObject({ from: 'selected' });
    expect(admits('PROXY/1')).toMatchObject({ from: 'selected' });
    expect(waypoint(gateway()).admits).toEqual({ from: 'same' });
  });
});

describe('resolveWaypoint', () => {
  const waypoints: ReadonlyMap<string, Waypoint> = new Map(
    [
      gateway(),
      gateway({ name: 'canary' }),
      gateway({ name: 'pods', labels: { 'istio.io/waypoint-for': 'workload' } }),
      gateway({ name: 'both', labels: { 'istio.io/waypoint-for': 'all' } }),
      gateway({ name: 'nothing', labels: { 'istio.io/waypoint-for': 'none' } }),
      gateway({ namespace: 'infra', name: 'open' }, hbone('All')),
      gateway({ namespace: 'infra', name: 'own' }, hbone('Same')),
      gateway({ namespace: 'infra', name: 'team' }, hbone('Selector', { matchLabels: { team: 'a' } })),
      gateway({ namespace: 'infra', name: 'odd' }, hbone('Selector')),
    ].map((of) => [`${of.metadata.namespace}/${of.metadata.name}`, waypoint(of)] as const),
  );
  const use = (name: string, namespace?: string, more: Record<string, string> = {}) => ({
    'istio.io/use-waypoint': name,
    ...(namespace !== undefined && { 'istio.io/use-waypoint-namespace': namespace }),
    ...more,
  });
  const canary = (name: string, namespace?: string) => ({
    'istio.io/use-waypoint-canary': name,
    ...(namespace !== undefined && { 'istio.io/use-waypoint-canary-namespace': namespace }),
  });
  const weight = (value: string) => ({ 'istio.io/use-waypoint-canary-weight': value });

  /** The outcome in one line: `ns/name`, `ns/name 90 ns/canary 10`, `- Reason: message`. */
  const outcome = (question: Partial<BindingQuestion>): string => {
    const answer = resolveWaypoint({
      of: 'service',
      namespace: 'shop',
      object: {},
      namespaceObject: {},
      waypoint: (key) => waypoints.get(key),
      ...question,
    });
    const nameOf = (address: unknown) =>
      [...waypoints].find(([, each]) => each.address === address)?.[0] ?? 'unknown';
    return [
      answer.waypoint ? `${answer.waypoint.namespace}/${answer.waypoint.name}` : '-',
      ...answer.weighted.map((each) => `${nameOf(each.destination)}=${each.weight}`),
      ...(answer.problem ? [`${answer.problem.reason}: ${answer.problem.message}`] : []),
    ].join(' ');
  };
  const labels = (all: Record<string, string>, annotations?: Record<string, string>): WaypointWishes => ({
    labels: all,
    ...(annotations && { annotations }),
  });

  const cases: Record<string, { question: Partial<BindingQuestion>; want: string }> = {
    'nobody asks for one': { question: {}, want: '-' },
    'the namespace asks': { question: { namespaceObject: labels(use('w')) }, want: 'shop/w' },
    'the namespace is not known': { question: { namespaceObject: undefined }, want: '-' },
    "the object's label goes before the namespace's": {
      question: { object: labels(use('both')), namespaceObject: labels(use('w')) },
      want: 'shop/both',
    },
    '"none" on the object opts out': {
      question: { object: labels(use('none')), namespaceObject: labels(use('w')) },
      want: '-',
    },
    '"none" on the namespace': { question: { namespaceObject: labels(use('none')) }, want: '-' },
    'an unknown one: none at all, also where the namespace has one': {
      question: { object: labels(use('bogus')), namespaceObject: labels(use('w')) },
      want: '- WaypointIsNotReady: waypoint "shop/bogus" is not ready',
    },
    "the namespace's label may be wrong as well": {
      question: { namespaceObject: labels(use('bogus', 'infra')) },
      want: '- WaypointIsNotReady: waypoint "infra/bogus" is not ready',
    },
    'one of another namespace that takes all': {
      question: { object: labels(use('open', 'infra')) },
      want: 'infra/open',
    },
    'one of another namespace that takes its own only': {
      question: { object: labels(use('own', 'infra')) },
      want: '- AttachmentDenied: we are not permitted to attach to waypoint "infra/own" (missing allowedRoutes?)',
    },
    'one that takes namespaces by label, and ours has it': {
      question: { object: labels(use('team', 'infra')), namespaceObject: labels({ team: 'a' }) },
      want: 'infra/team',
    },
    'one that takes namespaces by label, and ours has it not': {
      question: { object: labels(use('team', 'infra')), namespaceObject: labels({ team: 'b' }) },
      want: '- AttachmentDenied: we are not permitted to attach to waypoint "infra/team" (missing allowedRoutes?)',
    },
    'a selector that is missing selects nothing': {
      question: { object: labels(use('odd', 'infra')) },
      want: '- AttachmentDenied: we are not permitted to attach to waypoint "infra/odd" (missing allowedRoutes?)',
    },
    'a service at a waypoint for workloads': {
      question: { object: labels(use('pods')) },
      want: '- UnsupportedTrafficType: attempting to bind to traffic type "service" which the waypoint "shop/pods" does not support',
    },
    'a service at one for nothing': {
      question: { namespaceObject: labels(use('nothing')) },
      want: '- UnsupportedTrafficType: attempting to bind to traffic type "service" which the waypoint "shop/nothing" does not support',
    },
    'a workload at one for workloads': {
      question: { of: 'workload', object: labels(use('pods')) },
      want: 'shop/pods',
    },
    'a workload at one for all, by its namespace': {
      question: { of: 'workload', namespaceObject: labels(use('both')) },
      want: 'shop/both',
    },
    'a workload that itself asks for one for services': {
      question: { of: 'workload', object: labels(use('w')) },
      want: '- UnsupportedTrafficType: attempting to bind to traffic type "workload" which the waypoint "shop/w" does not support',
    },
    "a namespace's one for services is no error of its workloads": {
      question: { of: 'workload', namespaceObject: labels(use('w')) },
      want: '-',
    },
    "a waypoint's own service": {
      question: { object: labels({ ...use('w'), 'gateway.istio.io/managed': 'istio.io-mesh-controller' }) },
      want: '-',
    },
    "an east-west gateway's service": {
      question: {
        object: labels({ 'gateway.istio.io/managed': 'istio.io-eastwest-controller' }),
        namespaceObject: labels(use('w')),
      },
      want: '-',
    },
    "an ingress gateway's service may have one": {
      question: {
        object: labels({ ...use('w'), 'gateway.istio.io/managed': 'istio.io-gateway-controller' }),
      },
      want: 'shop/w',
    },
    'what only its namespace sees does not leave it': {
      question: { object: labels(use('open', 'infra')), ownNamespaceOnly: true },
      want: '- CrossNamespaceWaypointForbidden: cannot bind to waypoint "infra/open" in another namespace: cross-namespace waypoint binding is not permitted for a ServiceEntry with NAMESPACE visibility',
    },
    'a canary without a weight': {
      question: { object: labels(use('w', undefined, canary('canary'))) },
      want: 'shop/w shop/w=100 shop/canary=0',
    },
    'a canary with a weight, of another namespace': {
      question: { object: labels(use('w', undefined, canary('open', 'infra')), weight('10')) },
      want: 'shop/w shop/w=90 infra/open=10',
    },
    'a canary that takes all': {
      question: { object: labels(use('w', undefined, canary('canary')), weight('100')) },
      want: 'shop/w shop/w=0 shop/canary=100',
    },
    "a namespace's canary with the object's weight": {
      question: {
        object: labels({}, weight('30')),
        namespaceObject: labels(use('w', undefined, canary('canary')), weight('10')),
      },
      want: 'shop/w shop/w=70 shop/canary=30',
    },
    "a namespace's canary does not count for an object with a waypoint of its own": {
      question: {
        object: labels(use('both')),
        namespaceObject: labels(use('w', undefined, canary('canary')), weight('10')),
      },
      want: 'shop/both',
    },
    'a canary alone is nothing': { question: { object: labels(canary('canary')) }, want: '-' },
    'a canary called none': {
      question: { object: labels(use('w', undefined, canary('none'))) },
      want: 'shop/w',
    },
    'workloads have no canary': {
      question: { of: 'workload', object: labels(use('both', undefined, canary('pods'))) },
      want: 'shop/both',
    },
    'a canary with a weight that is none': {
      question: { object: labels(use('w', undefined, canary('canary')), weight('10%')) },
      want: 'shop/w CanaryInvalidWeight: canary waypoint "shop/canary" has an invalid weight; must be an integer in [0,100]',
    },
    'a canary with too much weight': {
      question: { object: labels(use('w', undefined, canary('canary')), weight('101')) },
      want: 'shop/w CanaryInvalidWeight: canary waypoint "shop/canary" has an invalid weight; must be an integer in [0,100]',
    },
    'a canary that is the waypoint': {
      question: { object: labels(use('w', undefined, canary('w'))) },
      want: 'shop/w CanarySameAsPrimary: canary waypoint "shop/w" must differ from the primary waypoint',
    },
    'a canary that is not there': {
      question: { object: labels(use('w', undefined, canary('bogus'))) },
      want: 'shop/w WaypointIsNotReady: waypoint "shop/bogus" is not ready',
    },
    'a canary for workloads': {
      question: { object: labels(use('w', undefined, canary('pods'))) },
      want: 'shop/w UnsupportedTrafficType: attempting to bind to traffic type "service" which the waypoint "shop/pods" does not support',
    },
  };
  test.each(Object.entries(cases))('%s', (_, { question, want }) => {
    expect(outcome(question)).toBe(want);
  });
});
