import { describe, expect, test } from '@jest/globals';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import type { Gateway } from '@ambit/kube/resources/gateway';
import { gatewayStatus, type StatusQuestion, statusToWrite } from './status.ts';

const gateway = (over: Partial<Gateway['metadata']> = {}, spec: Gateway['spec'] = {}): Gateway => ({
  metadata: { namespace: 'shop', name: 'w', generation: 3, ...over },
  spec: {
    gatewayClassName: 'istio-waypoint',
    listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
    ...spec,
  },
});
const SERVICE: Service = {
  metadata: { namespace: 'shop', name: 'w' },
  spec: { clusterIPs: ['10.1.0.9', 'fd00::9'], ports: [{ name: 'mesh', port: 15_008 }] },
};
const slice = (ready: boolean | undefined, port = 'mesh'): EndpointSlice => ({
  metadata: { namespace: 'shop', name: 'w-x' },
  addressType: 'IPv4',
  ports: [{ name: port, port: 15_008 }],
  endpoints: [{ addresses: ['10.0.0.1'], ...(ready !== undefined && { conditions: { ready } }) }],
});

const status = (question: Partial<StatusQuestion> = {}) =>
  gatewayStatus({
    gateway: gateway(),
    manual: false,
    domain: 'cluster.local',
    service: (name) => (name === 'w' ? SERVICE : undefined),
    slices: () => [slice(true)],
    parameterProblem: undefined,
    deploymentProblem: undefined,
    ...question,
  });
type Status = ReturnType<typeof status>;
/** A condition in one line. */
const line = ({ conditions }: Pick<Status, 'conditions'>, type: string) => {
  const one = conditions.find((condition) => condition.type === type);
  return one && `${one.isTrue} ${one.reason}: ${one.message}`;
};
const addresses = (of: Status) => of.addresses.map(({ type = '', value }) => `${type} ${value}`);

const IP = ['IPAddress 10.1.0.9', 'IPAddress fd00::9'];
const HOST = 'Hostname w.shop.svc.cluster.local';

test('no more addresses are told than are stored, and every name before any address', () => {
  const named = Array.from({ length: 10 }, (_, i) => ({ type: 'Hostname', value: `s${i}` }));
  const { addresses: told } = status({
    gateway: gateway({}, { addresses: named }),
    manual: true,
    service: () => SERVICE,
  });
  expect(told).toHaveLength(16);
  expect(told.filter(({ type }) => type === 'Hostname')).toHaveLength(10);
});

describe('a Gateway', () => {
  const cases: Record<
    string,
    { question: Partial<StatusQuestion>; programmed: string; addresses: string[] }
  > = {
    'with an instance that is ready': {
      question: {},
      programmed:
        'true Programmed: Resource programmed, assigned to service(s) w.shop.svc.cluster.local:15008',
      addresses: [...IP, HOST],
    },
    'whose slices do not say whether they are ready, which means so': {
      question: { slices: () => [slice(undefined)] },
      programmed:
        'true Programmed: Resource programmed, assigned to service(s) w.shop.svc.cluster.local:15008',
      addresses: [...IP, HOST],
    },
    'without its Service yet': {
      question: { service: () => undefined },
      programmed:
        'false AddressNotAssigned: Failed to assign to any requested addresses: hostname "w.shop.svc.cluster.local" not found',
      addresses: [],
    },
    'without an instance that is ready': {
      question: { slices: () => [slice(false)] },
      programmed:
        'false AddressNotAssigned: Failed to assign to any requested addresses: no instances found for hostname "w.shop.svc.cluster.local"',
      addresses: [],
    },
    'that had addresses keeps them without an instance': {
      question: {
        gateway: { ...gateway(), status: { addresses: [{ type: 'IPAddress', value: '10.1.0.8' }] } },
        slices: () => [],
      },
      programmed:
        'false AddressNotAssigned: Failed to assign to any requested addresses: no instances found for hostname "w.shop.svc.cluster.local"',
      addresses: [...IP, HOST],
    },
    'that had addresses keeps them without its Service': {
      question: {
        gateway: { ...gateway(), status: { addresses: [{ type: 'IPAddress', value: '10.1.0.8' }] } },
        service: () => undefined,
      },
      programmed:
        'false AddressNotAssigned: Failed to assign to any requested addresses: hostname "w.shop.svc.cluster.local" not found',
      addresses: ['IPAddress 10.1.0.8'],
    },
    'that is to show its name alone': {
      question: { gateway: gateway({ annotations: { 'networking.istio.io/address-type': 'Hostname' } }) },
      programmed:
        'true Programmed: Resource programmed, assigned to service(s) w.shop.svc.cluster.local:15008',
      addresses: [HOST],
    },
    'that is to show its addresses alone': {
      question: { gateway: gateway({ annotations: { 'networking.istio.io/address-type': 'IPAddress' } }) },
      programmed:
        'true Programmed: Resource programmed, assigned to service(s) w.shop.svc.cluster.local:15008',
      addresses: IP,
    },
    'with an address from outside': {
      question: {
        service: () => ({
          ...SERVICE,
          status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example.com' }] } },
        }),
      },
      programmed:
        'true Programmed: Resource programmed, assigned to service(s) w.shop.svc.cluster.local:15008',
      addresses: ['IPAddress 192.0.2.1', 'Hostname lb.example.com'],
    },
    'by another name': {
      question: {
        gateway: gateway({ annotations: { 'gateway.istio.io/name-override': 'other' } }),
        service: (name) => (name === 'other' ? SERVICE : undefined),
      },
      programmed:
        'true Programmed: Resource programmed, assigned to service(s) other.shop.svc.cluster.local:15008',
      addresses: [...IP, 'Hostname other.shop.svc.cluster.local'],
    },
    'for which something could not be made': {
      question: { deploymentProblem: 'Deployment shop/w is refused' },
      programmed: 'false Invalid: Deployment shop/w is refused',
      addresses: [...IP, HOST],
    },
    'that its user runs, in two Services': {
      question: {
        manual: true,
        gateway: gateway(
          {},
          {
            addresses: [
              { type: 'Hostname', value: 'w' },
              { type: 'Hostname', value: 'missing.shop.svc.cluster.local' },
            ],
          },
        ),
      },
      programmed:
        'false AddressNotUsable: Assigned to service(s) w.shop.svc.cluster.local:15008, but failed to assign to all requested addresses: hostname "missing.shop.svc.cluster.local" not found',
      addresses: [...IP, HOST],
    },
    'that its user runs, on another port': {
      question: {
        manual: true,
        gateway: gateway(
          {},
          {
            addresses: [{ type: 'Hostname', value: 'w' }],
            listeners: [{ name: 'mesh', port: 15_009, protocol: 'HBONE' }],
          },
        ),
      },
      programmed:
        'false AddressNotUsable: Failed to assign to any requested addresses: port 15009 not found for hostname "w.shop.svc.cluster.local"',
      addresses: [],
    },
    'that its user runs elsewhere': {
      question: {
        manual: true,
        gateway: gateway({}, { addresses: [{ type: 'Hostname', value: 'example.com' }] }),
      },
      programmed:
        'false AddressNotUsable: Failed to assign to any requested addresses: hostname "example.com" not found',
      addresses: [],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { question, programmed, addresses: want }) => {
    const result = status(question);
    expect(line(result, 'Programmed')).toBe(programmed);
    expect(addresses(result)).toEqual(want);
  });

  test('is accepted, and says of which generation all this is', () => {
    const result = status();
    expect(line(result, 'Accepted')).toBe('true Accepted: Resource accepted');
    const all = [...result.conditions, ...result.listeners.flatMap(({ conditions }) => conditions)];
    expect(all.map(({ observedGeneration }) => observedGeneration)).toEqual(all.map(() => 3));
  });

  test('with parameters that cannot be used is not', () => {
    const result = status({ parameterProblem: 'ConfigMap shop/x was not found' });
    expect(line(result, 'Accepted')).toBe('false InvalidParameters: ConfigMap shop/x was not found');
    expect(line(result, 'Programmed')).toBe('false Invalid: ConfigMap shop/x was not found');
  });

  test('that its user runs at an address that is no name is not', () => {
    const of = gateway(
      {},
      {
        addresses: [
          { type: 'Hostname', value: 'w' },
          { type: 'IPAddress', value: '192.0.2.1' },
          { value: '::1' },
        ],
      },
    );
    expect(line(status({ manual: true, gateway: of }), 'Accepted')).toBe(
      'false UnsupportedAddress: Only addresses of type Hostname are supported here, not IPAddress 192.0.2.1, IPAddress ::1',
    );
  });
});

describe('a listener', () => {
  test('for tunnels has no routes of its own', () => {
    const [listener] = status().listeners;
    expect(listener).toMatchObject({ name: 'mesh', attachedRoutes: 0, supportedKinds: [] });
    expect(
      ['Accepted', 'Conflicted', 'Programmed', 'ResolvedRefs'].map((type) => line(listener as never, type)),
    ).toEqual([
      'true Accepted: No errors found',
      'false NoConflicts: No errors found',
      'true Programmed: No errors found',
      'true ResolvedRefs: No errors found',
    ]);
  });

  test('of another kind is not accepted, and the Gateway names it', () => {
    const of = gateway(
      {},
      {
        listeners: [
          { name: 'mesh', port: 15_008, protocol: 'HBONE' },
          { name: 'web', port: 80, protocol: 'HTTP' },
        ],
      },
    );
    const result = status({ gateway: of });
    expect(line(result.listeners[1] as never, 'Accepted')).toBe(
      'false UnsupportedProtocol: Expected a single listener on port 15008 with protocol "HBONE"',
    );
    expect(line(result, 'Accepted')).toBe('true ListenersNotValid: Invalid listeners: web');
    expect(line(result, 'Programmed')).toMatch(/^true Programmed/);
  });
});

describe('statusToWrite', () => {
  const FIRST_MS = Date.UTC(2026, 0, 1);
  const written = (of: Gateway, wanted: Status, nowMs = FIRST_MS): Gateway => ({
    ...of,
    status: statusToWrite(of, wanted, nowMs) ?? {},
  });

  test('nothing is written twice', () => {
    const of = written(gateway(), status());
    expect(of.status?.conditions?.[0]?.lastTransitionTime).toBe('2026-01-01T00:00:00Z');
    expect(statusToWrite(of, status({ gateway: of }), FIRST_MS + 5_000)).toBeUndefined();
  });

  test('what others say beside it is no reason to write', () => {
    const of = written(gateway(), status());
    const more = {
      ...of,
      status: { ...of.status, conditions: [...(of.status?.conditions ?? []), { type: 'X', status: 'True' }] },
    };
    expect(statusToWrite(more, status({ gateway: more }), FIRST_MS)).toBeUndefined();
  });

  test('what was edited is put back, and only what turned has a new time', () => {
    const of = written(gateway(), status({ slices: () => [] }));
    const now = statusToWrite(of, status({ gateway: of }), FIRST_MS + 5_000);
    expect(now?.conditions?.map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).toEqual([
      ['Accepted', '2026-01-01T00:00:00Z'],
      ['Programmed', '2026-01-01T00:00:05Z'],
      ['ResolvedRefs', '2026-01-01T00:00:00Z'],
    ]);
    const edited = { ...of, status: { ...of.status, addresses: [{ type: 'IPAddress', value: '1.2.3.4' }] } };
    expect(statusToWrite(edited, status({ gateway: edited }), FIRST_MS)?.addresses).toHaveLength(3);
  });

  test.each([
    ['a listener fewer', gateway({}, { listeners: [] })],
    ['another generation', gateway({ generation: 4 })],
  ])('%s is news', (_, changed) => {
    const of = { ...changed, status: written(gateway(), status()).status ?? {} };
    expect(statusToWrite(of, status({ gateway: of }), FIRST_MS)).toBeDefined();
  });
});
