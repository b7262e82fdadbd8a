import { describe, expect, test } from '@jest/globals';
import { validateDestinationRule } from './destination-rule.ts';

describe('a field that nobody heeds is warned of', () => {
  const ruled = (trafficPolicy: object, subsets: readonly object[] = []) =>
    validateDestinationRule({
      metadata: { namespace: 'shop', name: 'cart' },
      spec: { host: 'cart', trafficPolicy, subsets } as never,
    });
  const cookie = { name: 'c', ttl: '0s', attributes: [{ name: 'Secure' }] };
  test.each<[path: string, trafficPolicy: object]>([
    ['connectionPool.tcp.tcpKeepalive', { connectionPool: { tcp: { tcpKeepalive: { time: '10s' } } } }],
    [
      'connectionPool.http.http2KeepAlive',
      { connectionPool: { http: { http2KeepAlive: { timeout: '1s' } } } },
    ],
    ['loadBalancer.simple', { loadBalancer: { simple: 'PASSTHROUGH' } }],
    ['loadBalancer.zoneAwareLbSetting', { loadBalancer: { zoneAwareLbSetting: { enabled: true } } }],
    [
      'loadBalancer.warmup.minimumPercent',
      { loadBalancer: { warmup: { duration: '1s', minimumPercent: 5 } } },
    ],
    ['loadBalancer.warmup.aggression', { loadBalancer: { warmup: { duration: '1s', aggression: 1 } } }],
    [
      'loadBalancer.consistentHash.httpCookie.attributes',
      { loadBalancer: { consistentHash: { httpCookie: cookie } } },
    ],
    [
      'outlierDetection.outlierDetectionHttpErrorCodes',
      { outlierDetection: { outlierDetectionHttpErrorCodes: [429] } },
    ],
    ['retryBudget.budgetInterval', { retryBudget: { percent: 20, budgetInterval: '5s' } }],
  ])('%s', (path, trafficPolicy) => {
    const { warnings, errors } = ruled(trafficPolicy);
    expect([errors, warnings]).toEqual([
      [],
      [
        expect.stringMatching(
          new RegExp(`^spec\\.trafficPolicy\\.${path.replaceAll('.', '\\.')}: .*has no effect`),
        ),
      ],
    ]);
  });

  test('wherever it stands', () => {
    const connectionPool = { tcp: { tcpKeepalive: { time: '10s' } } };
    const trafficPolicy = { connectionPool, portLevelSettings: [{ port: { number: 80 }, connectionPool }] };
    const subset = { name: 'a', labels: { a: 'b' }, trafficPolicy: { connectionPool } };
    expect([...ruled(trafficPolicy, [subset]).warnings]).toEqual(
      [
        'spec.trafficPolicy.connectionPool.tcp.tcpKeepalive',
        'spec.trafficPolicy.portLevelSettings[0].connectionPool.tcp.tcpKeepalive',
        'spec.subsets[0].trafficPolicy.connectionPool.tcp.tcpKeepalive',
      ].map((path) => `${path}: has no effect at a waypoint`),
    );
  });

  test('and one that is heeded is not', () => {
    const { warnings } = ruled({
      connectionPool: { tcp: { idleTimeout: '1s' }, http: { maxConcurrentStreams: 3 } },
      outlierDetection: { splitExternalLocalOriginErrors: true },
      retryBudget: { percent: 20 },
    });
    expect([...warnings]).toEqual([]);
  });
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
