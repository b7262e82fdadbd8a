import { describe, expect, test } from '@jest/globals';
import type { Pod, Service } from '@ambit/kube/resources/core';
import { slicesFor } from './slices.ts';

const service = (over: Service['spec'] = {}): Service => ({
  metadata: { name: 'api', namespace: 'shop', uid: 'u1' },
  spec: { selector: { app: 'api' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }], ...over },
});

const pod = (
  name: string,
  over: { meta?: object; spec?: Pod['spec']; status?: Pod['status'] } = {},
): Pod => ({
  metadata: { name, namespace: 'shop', labels: { app: 'api' }, ...over.meta },
  spec: { nodeName: 'node-a', ...over.spec },
  status: {
    phase: 'Running',
    podIPs: [{ ip: '10.0.0.1' }],
    conditions: [{ type: 'Ready', status: 'True' }],
    ...over.status,
  },
});

const conditions = (target: Service, one: Pod) => slicesFor(target, [one])[0]?.endpoints?.[0]?.conditions;

describe('which pods are endpoints', () => {
  const cases: Record<string, { pod: Pod; want: number }> = {
    'a pod that the selector matches': { pod: pod('a'), want: 1 },
    'not one with other labels': { pod: pod('a', { meta: { labels: { app: 'web' } } }), want: 0 },
    'not one of another namespace': { pod: pod('a', { meta: { namespace: 'other' } }), want: 0 },
    'not one that has ended': {
      pod: pod('a', { status: { phase: 'Succeeded', podIPs: [{ ip: '10.0.0.1' }] } }),
      want: 0,
    },
    'not one without an address': { pod: pod('a', { status: { podIPs: [] } }), want: 0 },
  };
  test.each(Object.entries(cases))('%s', (_, { pod: one, want }) =>
    expect(slicesFor(service(), [one])).toHaveLength(want),
  );

  test('a service without a selector has none of ours', () => {
    expect(slicesFor(service({ selector: {} }), [pod('a')])).toEqual([]);
  });
});

describe('conditions', () => {
  const notReady = pod('a', { status: { podIPs: [{ ip: '10.0.0.1' }], conditions: [] } });
  const leaving = pod('a', { meta: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
  const cases: Record<string, { service: Service; pod: Pod; want: object }> = {
    ready: { service: service(), pod: pod('a'), want: { ready: true, serving: true, terminating: false } },
    'not ready': {
      service: service(),
      pod: notReady,
      want: { ready: false, serving: false, terminating: false },
    },
    'published before it is ready': {
      service: service({ publishNotReadyAddresses: true }),
      pod: notReady,
      want: { ready: true, serving: true, terminating: false },
    },
    terminating: {
      service: service(),
      pod: leaving,
      want: { ready: false, serving: true, terminating: true },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { service: target, pod: one, want }) => {
    expect(conditions(target, one)).toEqual(want);
  });
});

describe('ports and families', () => {
  test('a named port is looked up in each pod, and pods that differ get slices of their own', () => {
    const named = service({ ports: [{ name: 'http', port: 80, targetPort: 'web' }] });
    const at = (name: string, containerPort: number) =>
      pod(name, { spec: { containers: [{ name: 'c', ports: [{ name: 'web', containerPort }] }] } });
    const slices = slicesFor(named, [at('a', 8080), at('b', 9090), at('c', 8080)]);
    expect(
      slices.map(({ metadata, ports, endpoints }) => [metadata.name, ports?.[0]?.port, endpoints?.length]),
    ).toEqual([
      ['api-ipv4', 8080, 2],
      ['api-ipv4-2', 9090, 1],
    ]);
  });

  test('a pod with both families is in a slice of each', () => {
    const both = pod('a', { status: { podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] } });
    expect(slicesFor(service(), [both]).map((slice) => [slice.metadata.name, slice.addressType])).toEqual([
      ['api-ipv4', 'IPv4'],
      ['api-ipv6', 'IPv6'],
    ]);
  });
});
