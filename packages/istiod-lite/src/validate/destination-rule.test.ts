import { expect, test } from '@jest/globals';
import { validateDestinationRule } from './destination-rule.ts';

test('settings of connections that do nothing are warned of, wherever they stand', () => {
  const connectionPool = { tcp: { tcpKeepalive: { time: '10s' } } };
  const trafficPolicy = { connectionPool, portLevelSettings: [{ port: { number: 80 }, connectionPool }] };
  const found = validateDestinationRule({
    metadata: { namespace: 'shop', name: 'cart' },
    spec: { host: 'cart', trafficPolicy },
  });
  expect([...found.warnings]).toEqual([
    'spec.trafficPolicy.connectionPool.tcp.tcpKeepalive: has no effect at a waypoint',
    'spec.trafficPolicy.portLevelSettings[0].connectionPool.tcp.tcpKeepalive: has no effect at a waypoint',
  ]);
  expect([...found.errors]).toEqual([]);
});

test.each([
  ['authorities of a file', { mode: 'SIMPLE', caCertificates: '/ca.pem' }],
  ['authorities of a Secret', { mode: 'SIMPLE', credentialName: 'bank' }],
  ['names', { mode: 'SIMPLE', subjectAltNames: ['bank.example'] }],
  [
    'names beside a certificate of its own',
    { mode: 'MUTUAL', credentialName: 'bank', subjectAltNames: ['x'] },
  ],
])('nobody asks for %s that insecureSkipVerify leaves unread', (_, tls) => {
  const { errors } = validateDestinationRule({
    metadata: { namespace: 'shop', name: 'cart' },
    spec: { host: 'cart', trafficPolicy: { tls: { ...tls, insecureSkipVerify: true } } },
  });
  expect([...errors]).toEqual([
    'spec.trafficPolicy.tls: insecureSkipVerify leaves nothing for authorities and subjectAltNames to do',
  ]);
});
