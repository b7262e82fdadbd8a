import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FakeCluster } from '../../testing/fake-cluster.ts';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = await FakeCluster.start();
  cluster.namespace('shop');
});
afterEach(() => cluster[Symbol.asyncDispose]());

const gate = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };

const endpoint = (over: object) => ({
  endpoint: '10.0.0.1:8080',
  workload: 'Kubernetes//Pod/shop/api-0',
  ejected: false,
  failedHealthChecks: false,
  requests: 0,
  connections: 0,
  waiting: 0,
  ...over,
});

describe('waypoint endpoints', () => {
  const api = (over: object) => ({
    destinations: [{ destination: 'api.shop', port: 80, endpoints: [endpoint(over)] }],
  });

  test('shows each endpoint as each pod sees it, and names pods that do not answer', async () => {
    cluster.waypoint('shop', 'gate-a', { '/config_dump': api({ ejected: true, requests: 2 }) }, gate);
    cluster.waypoint('shop', 'gate-b', { '/config_dump': api({ connections: 3, waiting: 1 }) }, gate);
    cluster.waypoint('shop', 'gate-c', { '/config_dump': 500 }, gate);
    cluster.waypoint('shop', 'other', {}, {});
    const { code, out, err } = await cluster.run('waypoint', 'endpoints');
    expect(
      out.replaceAll(/ {3,}/g, ' | '),
    ).toBe(`WAYPOINT | DESTINATION | ENDPOINT | WORKLOAD | STATE | REQUESTS | CONNECTIONS
gate-a | api.shop:80 | 10.0.0.1:8080 | Kubernetes//Pod/shop/api-0 | ejected: requests to it failed | 2 | 0
gate-b | api.shop:80 | 10.0.0.1:8080 | Kubernetes//Pod/shop/api-0 | 1 wait for a connection | 0 | 3
`);
    expect([code, err]).toEqual([0, expect.stringMatching(/^ambit: .*gate-c.*\n$/)]);
    expect(cluster.asked).toContain('gate-a /config_dump?part=destinations');
  });

  test('says of a destination why nothing is sent there, and what was left out', async () => {
    const dump = {
      destinations: [
        { destination: 'api.shop', port: 80, subset: 'v9', problem: 'no subset v9', endpoints: [] },
        { destination: 'old.shop', port: 80, endpoints: [] },
      ],
      leftOut: { destinations: 7 },
    };
    cluster.waypoint('shop', 'gate-a', { '/config_dump': dump }, gate);
    const { out, err } = await cluster.run('waypoint', 'endpoints', '--output', 'json');
    expect(JSON.parse(out)).toMatchObject([
      { destination: 'api.shop:80 v9', endpoint: '', state: 'no subset v9' },
      { destination: 'old.shop:80', endpoint: '', state: 'no endpoint' },
    ]);
    expect(err).toBe('ambit: gate-a left out 7 of its destinations\n');
  });

  test('fails where nothing runs, and where nothing answers', async () => {
    expect(await cluster.run('waypoint', 'endpoints', '-n', 'shop')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no pod of waypoint shop/waypoint runs'),
    });
    cluster.waypoint('shop', 'gate-a', {}, gate);
    const { code, err } = await cluster.run('waypoint', 'endpoints');
    expect([code, err]).toEqual([
      1,
      'ambit: waypoint shop/gate-a has no /config_dump\nambit: no pod of waypoint shop/waypoint could be asked\n',
    ]);
  });
});

test('waypoint routes shows routes, and what of them cannot be read', async () => {
  const dump = {
    httpRoutes: [
      { name: 'HTTPRoute/shop/b', parents: [{ service: 'shop/api', port: 80 }], rules: [{}, {}] },
      {
        name: 'HTTPRoute/shop/a',
        parents: [{ service: 'shop/api', port: 0 }],
        rules: [{ unreadable: 'bad regex' }],
      },
    ],
    streamRoutes: [{ name: 'TCPRoute/shop/t', parents: [], rules: [], unreadable: 'broken' }],
  };
  cluster.waypoint('shop', 'gate-a', { '/config_dump': dump }, gate);
  const { out } = await cluster.run('waypoint', 'routes');
  expect(out.replaceAll(/ {3,}/g, ' | ')).toBe(`ROUTE | OF | RULES | PROBLEM
HTTPRoute/shop/a | shop/api | 1 | bad regex
HTTPRoute/shop/b | shop/api:80 | 2 | -
TCPRoute/shop/t | - | 0 | broken
`);
});

test('waypoint policies shows policies of every kind, and what each is for', async () => {
  const origin = (kind: string) => ({ kind, namespace: 'shop', name: 'p' });
  const dump = {
    authorizationPolicies: [
      {
        key: 'shop/p',
        origin: origin('AuthorizationPolicy'),
        action: 'DENY',
        dryRun: true,
        targets: [
          { kind: 'service', service: 'shop/api' },
          { kind: 'gateway', gateway: 'shop/waypoint' },
        ],
        unreadable: 'bad path',
      },
    ],
    requestAuthentications: [
      {
        key: 'istio-system/p',
        origin: origin('RequestAuthentication'),
        targets: [{ kind: 'all-waypoints' }],
      },
    ],
    telemetries: [{ key: 'shop/p', origin: origin('Telemetry'), targets: [] }],
    destinationPolicies: [{ origin: origin('DestinationRule'), hostname: 'api.shop' }],
  };
  cluster.waypoint('shop', 'gate-a', { '/config_dump': dump }, gate);
  const { out } = await cluster.run('waypoint', 'policies');
  expect(out.replaceAll(/ {3,}/g, ' | ')).toBe(`KIND | POLICY | ACTION | FOR | PROBLEM
AuthorizationPolicy | shop/p | DENY (dry run) | shop/api,Gateway shop/waypoint | bad path
DestinationRule | shop/p | - | api.shop | -
RequestAuthentication | istio-system/p | - | every waypoint | -
Telemetry | shop/p | - | its namespace | -
`);
});
