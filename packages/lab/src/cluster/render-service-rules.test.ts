import { expect, test } from '@jest/globals';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import { renderServiceRules } from './render-service-rules.ts';

const service = (name: string, spec: NonNullable<Service['spec']>): Service => ({
  metadata: { name, namespace: 'shop' },
  spec,
});
const slice = (name: string, ips: readonly string[], over: Partial<EndpointSlice> = {}): EndpointSlice => ({
  metadata: { name: `${name}-ipv4`, namespace: 'shop', labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
  ...over,
});
const api = service('api', { clusterIP: '10.96.0.5', ports: [{ name: 'http', port: 80 }] });

test('a service goes to each of its ready endpoints, and a pod may reach itself', () => {
  const text = renderServiceRules([api], [slice('api', ['10.244.1.2', '10.244.2.3'])]);
  expect(text).toContain(
    'ip daddr 10.96.0.5 tcp dport 80 dnat ip to numgen random mod 2 map { 0 : 10.244.1.2 . 8080, 1 : 10.244.2.3 . 8080 }',
  );
  expect(text).toContain('ip saddr 10.244.1.2 ip daddr 10.244.1.2 masquerade');
});

test('what cannot be reached has no rule, and so is refused', () => {
  const notReady = slice('api', [], {
    endpoints: [{ addresses: ['10.244.1.2'], conditions: { ready: false } }],
  });
  const otherPort = slice('api', ['10.244.1.2'], { ports: [{ name: 'admin', port: 1 }] });
  const ipv6 = slice('api', ['fd00::1'], { addressType: 'IPv6' });
  const headless = service('api', { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] });
  for (const [services, slices] of [
    [[api], [notReady, otherPort, ipv6]],
    [[headless], [slice('api', ['10.244.1.2'])]],
    [[api], [slice('web', ['10.244.1.2'])]],
  ] as const) {
    expect(renderServiceRules(services, slices)).not.toContain('dnat');
  }
});

test('an address that is none cannot reach the rules', () => {
  const evil = slice('api', ['10.0.0.1 } flush ruleset']);
  expect(renderServiceRules([api], [evil])).not.toContain('flush ruleset');
});
