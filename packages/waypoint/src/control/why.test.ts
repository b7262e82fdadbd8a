import { describe, expect, test } from '@jest/globals';
import { AuthorizationAction } from '@ambit/api/waypoint';
import { httpBackend } from '../testing/backend.ts';
import { testScope } from '../testing/scope.ts';
import { ALICE, NAMESPACE, startWaypoint, type WaypointNetwork } from '../testing/waypoint-network.ts';
import type { WaypointWhy } from './why.ts';

const use = testScope();

async function network(): Promise<WaypointNetwork> {
  const backend = use(await httpBackend('127.0.0.2', (_, response) => response.end()));
  const made = use(
    await startWaypoint({
      before: (controlPlane) =>
        controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/p`, {
          origin: { kind: 'AuthorizationPolicy', namespace: NAMESPACE, name: 'p', createdMs: 1n },
          targets: [{ kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } }],
          action: AuthorizationAction.DENY,
          rules: [
            {
              from: [{ principals: ['*/sa/alice'] }],
              to: [{ paths: ['/admin*'] }],
              when: [{ key: 'request.headers[x-debug]', notValues: ['yes'] }],
            },
          ],
        }),
    }),
  );
  made.service({ name: 'web', vip: '10.9.0.1' });
  made.service({ name: 'other', vip: '10.9.0.2', attached: false });
  made.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  // Whatever was sent before has come when a request gets through.
  await (await made.client()).request('10.9.0.1:80');
  return made;
}

async function ask(made: WaypointNetwork, query: Record<string, string>): Promise<readonly string[]> {
  const { status, body } = await made.page('admin', `/debug/why?${new URLSearchParams(query).toString()}`);
  if (status !== 200) return [`${status}`];
  return (JSON.parse(body) as WaypointWhy).steps.map(
    ({ step, outcome, message }) => `${step} ${outcome}: ${message}`,
  );
}

describe('/debug/why', () => {
  test('tells what becomes of requests, as they are refused and let pass', async () => {
    const made = await network();
    const admin = { destination: '10.9.0.1:80', identity: ALICE, path: '/admin/x' };
    expect((await ask(made, admin)).slice(-1)).toEqual([
      'authorization refuse: explicitly denied by: shop/p, rule 0',
    ]);
    expect(await ask(made, { ...admin, header: 'X-Debug: yes' })).toEqual([
      'destination ok: shop/web.shop.svc.cluster.local port 80 (HTTP11) uses this waypoint',
      'path ok: the path is /admin/x',
      'authentication ok: no RequestAuthentication is attached',
      'authorization ok: no ALLOW policy is attached',
      'route ok: no route has the service as its parent',
      'backend ok: shop/web.shop.svc.cluster.local port 80',
      'endpoint ok: 1 of 1 endpoints may take the request',
      expect.stringMatching(/^tries ok: /),
    ]);
  });

  test('finds clients and services by their names', async () => {
    const made = await network();
    const query = { destination: 'web.shop.svc.cluster.local:80', source: 'shop/web-0', path: '/admin' };
    expect((await ask(made, query))[3]).toBe('authorization ok: no ALLOW policy is attached');
  });

  test('says when it is not asked for, or does not know', async () => {
    const made = await network();
    expect(await ask(made, { destination: '10.9.0.2:80' })).toEqual([
      'destination refuse: shop/other.shop.svc.cluster.local does not use this waypoint',
    ]);
    expect(await ask(made, { destination: 'nobody:80' })).toEqual([
      'destination unknown: nobody is no service with an address',
    ]);
  });

  test('tells of connections that are no HTTP', async () => {
    const made = await network();
    const query = { destination: '10.9.0.1:80', identity: ALICE, protocol: 'tcp' };
    expect((await ask(made, query)).slice(1)).toEqual([
      'authorization refuse: explicitly denied by: shop/p, rule 0',
    ]);
  });

  test.each([
    {},
    { destination: '10.9.0.1' },
    { destination: '10.9.0.1:99999' },
    { destination: '10.9.0.1:80', identity: 'alice' },
    { destination: '10.9.0.1:80', source: 'nobody/here' },
    { destination: '10.9.0.1:80', claims: '{' },
    { destination: '10.9.0.1:80', claims: '[]' },
    { destination: '10.9.0.1:80', header: 'nonsense' },
    { destination: '10.9.0.1:80', protocol: 'udp' },
  ] as Record<string, string>[])('does not understand %j', async (query) => {
    expect(await ask(await network(), query)).toEqual(['400']);
  });
});
