import { describe, expect, test } from '@jest/globals';
import { ConfigError } from '@ambit/core/config/schema';
import { configFrom } from './config.ts';
import { variables } from './config/variables.ts';

type Env = Readonly<Record<string, string>>;

const POD: Env = {
  POD_NAME: 'waypoint-0',
  POD_NAMESPACE: 'shop',
  SERVICE_ACCOUNT: 'waypoint',
  GATEWAY_NAME: 'waypoint',
  INSTANCE_IP: '::ffff:0:0:9',
  XDS_ADDRESS: 'http://localhost:15010',
  FAKE_CA: 'true',
};

const read = (env: Env) => configFrom(env, { exists: () => false });

function problemsOf(env: Env): readonly string[] {
  try {
    read(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('a pod that says who it is needs nothing else', () => {
  expect(read(POD)).toMatchObject({
    self: {
      podName: 'waypoint-0',
      namespace: 'shop',
      serviceAccount: 'waypoint',
      ip: '::ffff:0:0:9',
      gatewayName: 'waypoint',
      identity: 'spiffe://cluster.local/ns/shop/sa/waypoint',
      workloadUid: 'Kubernetes//Pod/shop/waypoint-0',
      service: 'shop/waypoint.shop.svc.cluster.local',
    },
    drainMs: 5_000,
    streamIdleMs: 3_600_000,
    maxRequests: 16_384,
    maxConnections: 32_768,
    maxHeldBytes: 134_217_728,
    retryBodyBytes: 65_536,
  });
});

test('its Service has the name of its Deployment, in the domain of the cluster', () => {
  const env = { ...POD, ISTIO_META_WORKLOAD_NAME: 'waypoint-v2', CLUSTER_DOMAIN: 'corp.example' };
  expect(read(env).self.service).toBe('shop/waypoint-v2.shop.svc.corp.example');
});

test('all that is missing is said at once', () => {
  expect(problemsOf({ POD_NAME: '', FAKE_CA: 'true', XDS_ADDRESS: '' })).toEqual([
    'POD_NAME must be set',
    'POD_NAMESPACE must be set',
    'SERVICE_ACCOUNT must be set',
    'GATEWAY_NAME must be set',
    'INSTANCE_IP must be set',
    'XDS_ADDRESS must be set: a waypoint has no other configuration',
  ]);
});

describe('a bad value keeps it from starting, and is named', () => {
  const A_NAME = 'a name as Kubernetes has them';
  const A_DURATION = 'a duration such as 500ms, 5s or 1h30m (no unit: seconds)';
  const cases: readonly (readonly [env: string, bad: readonly string[], want: string])[] = [
    ['POD_NAME', ['Waypoint', 'a/b', 'a b', '-a', 'a\n'], A_NAME],
    ['POD_NAMESPACE', ['shop/', '..'], A_NAME],
    ['SERVICE_ACCOUNT', ['sa/admin', 'ä'], A_NAME],
    ['GATEWAY_NAME', ['way point'], A_NAME],
    ['ISTIO_META_WORKLOAD_NAME', ['', 'way/point'], A_NAME],
    ['INSTANCE_IP', ['localhost', '10.0.0.256', '10.0.0.1:80'], 'an IP address'],
    ['TRUST_DOMAIN', ['', 'td/ns/kube-system/sa/admin', 'a b', '..'], 'a trust domain of SPIFFE'],
    ['CLUSTER_DOMAIN', ['', 'cluster/local', '.cluster.local'], 'a DNS name'],
    ['IPV6_ENABLED', ['yes', 'True', '1', ''], 'true or false'],
    ['AMBIT_XFCC_CLIENT_IDENTITY', ['yes', 'TRUE', ''], 'true or false'],
    [
      'TERMINATION_DRAIN_DURATION_SECONDS',
      ['5s', '-1', '1.5', '86401', ''],
      'a whole number from 0 to 86400',
    ],
    ['AMBIT_MAX_REQUESTS', ['0', 'many', '2147483648', '1e3'], 'a whole number from 1 to 2147483647'],
    ['AMBIT_MAX_CONNECTIONS', ['0', '-5', 'Infinity'], 'a whole number from 1 to 2147483647'],
    ['AMBIT_MAX_HELD_BYTES', ['1048575', '128Mi'], 'a whole number from 1048576 to 9007199254740991'],
    ['AMBIT_STREAM_IDLE_TIMEOUT', ['-1', '1.5h', 'soon', '5 s!'], A_DURATION],
    ['AMBIT_RETRY_BODY_BYTES', ['-1', '16777217', '64k'], 'a whole number from 0 to 16777216'],
  ];
  test.each(cases)('%s', (env, bad, want) => {
    for (const value of bad)
      expect(problemsOf({ ...POD, [env]: value })).toEqual([`invalid env var ${env}=${value}: want ${want}`]);
  });

  test('so do several at once, all of which are named', () => {
    const problems = problemsOf({ ...POD, TRUST_DOMAIN: 'a/b', INSTANCE_IP: 'x', RUST_LOG: '???' });
    expect(problems.map((problem) => problem.split('=')[0])).toEqual([
      'invalid env var TRUST_DOMAIN',
      'invalid env var INSTANCE_IP',
      'invalid env var RUST_LOG',
    ]);
  });

  test('none of our own is left out here', () => {
    const own = Object.entries(variables).filter(([, { env }]) => /^AMBIT_(?!TLS)|^TERM/.test(env));
    expect(own.map(([, { env }]) => env).toSorted()).toEqual(
      cases
        .map(([env]) => env)
        .filter((env) => /^AMBIT_|^TERM/.test(env))
        .toSorted(),
    );
  });
});

test('what is exactly at a bound is taken', () => {
  const env = {
    ...POD,
    TERMINATION_DRAIN_DURATION_SECONDS: '0',
    AMBIT_MAX_REQUESTS: '1',
    AMBIT_MAX_HELD_BYTES: '1048576',
    AMBIT_STREAM_IDLE_TIMEOUT: '0',
    AMBIT_RETRY_BODY_BYTES: '16777216',
  };
  expect(read(env)).toMatchObject({
    drainMs: 0,
    maxRequests: 1,
    maxHeldBytes: 1_048_576,
    streamIdleMs: 0,
    retryBodyBytes: 16_777_216,
  });
});
