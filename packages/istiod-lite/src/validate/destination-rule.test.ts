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
