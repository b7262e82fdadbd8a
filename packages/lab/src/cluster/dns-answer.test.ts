import { expect, test } from '@jest/globals';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import { answerFor, type DnsState } from './dns-answer.ts';

const services: Record<string, Service> = {
  'shop/api': { metadata: { name: 'api', namespace: 'shop' }, spec: { clusterIP: '10.96.0.5' } },
  'shop/db': { metadata: { name: 'db', namespace: 'shop' }, spec: { clusterIP: 'None' } },
};
const slice: EndpointSlice = {
  metadata: { name: 'db-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'db' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.244.1.2'] }, { addresses: ['10.244.1.3'], conditions: { ready: false } }],
};
const state: DnsState = {
  service: (namespace, name) => services[`${namespace}/${name}`],
  slices: () => [slice],
};

const cases: [question: string, type: string, want: readonly string[] | 'empty' | 'no-such-name'][] = [
  ['api.shop.svc.cluster.local', 'A', ['10.96.0.5']],
  ['API.shop.svc.cluster.local.', 'A', ['10.96.0.5']],
  ['api.shop.svc.cluster.local', 'AAAA', 'empty'],
  ['api.shop.svc.cluster.local', 'TXT', 'empty'],
  ['db.shop.svc.cluster.local', 'A', ['10.244.1.2']],
  ['api.shop', 'A', 'no-such-name'],
  ['web.shop.svc.cluster.local', 'A', 'no-such-name'],
  ['x.api.shop.svc.cluster.local', 'A', 'no-such-name'],
  ['example.com', 'A', 'no-such-name'],
];
test.each(cases)('%s %s', (question, type, want) => {
  const answer = answerFor(state, question, type);
  expect(answer.kind === 'addresses' ? answer.ips : answer.kind).toEqual(want);
});
