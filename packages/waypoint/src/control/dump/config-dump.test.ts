import { describe, expect, test } from '@jest/globals';
import { AuthorizationAction } from '@ambit/api/waypoint';
import { httpBackend } from '../../testing/backend.ts';
import { testScope } from '../../testing/scope.ts';
import {
  hostnameOf,
  NAMESPACE,
  startWaypoint,
  type WaypointNetwork,
} from '../../testing/waypoint-network.ts';
import { type DumpSources, handleConfigDump } from './config-dump.ts';
import { MAX_DUMPED } from './limits.ts';

const use = testScope();
const SECRET = Buffer.from('a very secret shared key').toString('base64url');
const gateway = { kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } } as const;
const origin = (kind: string) => ({ kind, namespace: NAMESPACE, name: 'p', createdMs: 1n });

async function network(): Promise<WaypointNetwork> {
  const backend = use(await httpBackend('127.0.0.2', (_, response) => response.end()));
  const made = use(
    await startWaypoint({
      before: (controlPlane) => {
        controlPlane.set('RequestAuthentication', `${NAMESPACE}/p`, {
          origin: origin('RequestAuthentication'),
          targets: [gateway],
          rules: [
            {
              issuer: 'https://issuer',
              jwks: JSON.stringify({ keys: [{ kty: 'oct', kid: 'one', k: SECRET }] }),
            },
          ],
        });
        controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/audit`, {
          origin: origin('AuthorizationPolicy'),
          targets: [gateway],
          action: AuthorizationAction.DENY,
          rules: [
            {
              when: [
                { key: 'request.headers[Authorization]', values: [`Basic ${SECRET}`] },
                { key: 'request.headers[x-tenant]', values: ['evil'] },
              ],
            },
          ],
        });
        controlPlane.set('DestinationPolicy', `DestinationRule/${NAMESPACE}/p`, {
          origin: origin('DestinationRule'),
          hostname: hostnameOf('web'),
          policy: { connectionPool: { maxConnections: 7 }, outlierDetection: { consecutive5xx: 1 } },
        });
      },
    }),
  );
  made.service({ name: 'web', vip: '10.9.0.1' });
  made.service({ name: 'other', vip: '10.9.0.2', attached: false });
  made.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  await (await made.client()).request('10.9.0.1:80');
  return made;
}

async function dump(made: WaypointNetwork, query = '') {
  const { status, body } = await made.page('admin', `/config_dump${query}`);
  expect(status).toBe(200);
  return JSON.parse(body);
}

describe('/config_dump', () => {
  test('tells everything that the waypoint holds', async () => {
    const all = await dump(await network());
    expect(Object.keys(all)).toEqual(Object.keys(all).toSorted());
    expect(all).toMatchObject({
      self: { namespace: NAMESPACE, gatewayName: 'waypoint' },
      mesh: { services: 2 },
      services: [{ hostname: hostnameOf('web') }],
      settings: { pathNormalization: 'BASE' },
      use: { requests: 0 },
      httpRoutes: [],
      keySets: [],
    });
    expect(all.certificates).toMatchObject([
      { state: 'Available', certChain: [{ pem: expect.any(String) }] },
    ]);
    expect(all.feeds).toContainEqual({
      typeUrl: expect.stringContaining('DestinationPolicy'),
      resources: 1,
      outdated: 0,
      version: expect.any(String),
      nonce: expect.stringMatching(/./),
    });
    expect(all.leftOut).toBeUndefined();
  });

  test('tells how destinations and their endpoints are doing', async () => {
    const { destinations } = await dump(await network(), '?part=destinations');
    expect(destinations).toMatchObject([
      {
        destination: hostnameOf('web'),
        port: 80,
        from: [`DestinationRule/${NAMESPACE}/p`],
        policy: { outlierDetection: { consecutive5xx: 1 } },
        breakers: { connections: { used: 1, limit: 7 }, requests: { used: 0 } },
        endpoints: [
          {
            workload: `Kubernetes//Pod/${NAMESPACE}/web-0`,
            tunnelled: false,
            healthy: true,
            ejected: false,
            requests: 0,
            connections: 1,
            waiting: 0,
          },
        ],
      },
    ]);
  });

  test('never tells a key', async () => {
    const made = await network();
    const { body } = await made.page('admin', '/config_dump');
    expect(body).not.toContain(SECRET);
    expect(body).not.toContain('PRIVATE');
    expect((await dump(made)).authorizationPolicies[0].rules[0].when).toMatchObject([
      { field: expect.stringMatching(/authorization/i), values: ['(hidden)'] },
      { values: ['evil'] },
    ]);
    expect((await dump(made)).requestAuthentications[0].rules[0].keys).toEqual({
      kind: 'inline',
      keys: [{ id: 'one', type: 'oct', algorithm: '' }],
    });
  });

  test('tells the parts that are asked for, and which there are', async () => {
    const made = await network();
    expect(Object.keys(await dump(made, '?part=self&part=feeds,version'))).toEqual([
      'feeds',
      'self',
      'version',
    ]);
    const { status, body } = await made.page('admin', '/config_dump?part=secrets');
    expect([status, body]).toEqual([
      400,
      expect.stringContaining('want authorizationPolicies, certificates'),
    ]);
  });

  test('counts what would be too much', () => {
    const set = { source: 'https://issuer', keys: [], ageMs: 0, failures: 0, problem: undefined };
    const keySets = () => Array.from({ length: MAX_DUMPED + 3 }, () => set);
    const { body } = handleConfigDump(new URLSearchParams('part=keySets'), {
      keySets,
    } as unknown as DumpSources);
    if (typeof body === 'string' || !('pieces' in body)) throw new Error('not in pieces');
    const all = JSON.parse([...body.pieces].join(''));
    expect([all.keySets.length, all.leftOut]).toEqual([MAX_DUMPED, { keySets: 3 }]);
  });
});
