import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { AuthorizationAction } from '@ambit/api/waypoint';
import { httpBackend } from '../testing/backend.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
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

  describe('with tokens', () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const jwt = (claims: object, key: string) => {
      const signed = `${part({ alg: 'HS256', kid: 'one' })}.${part(claims)}`;
      return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
    };
    const KEY = 'a key of thirty-two octets or more';

    /** Tokens of one issuer are looked for in a header of their own, and their group goes into another, which routes. */
    async function believing(): Promise<WaypointNetwork> {
      const made = await network();
      const jwks = { keys: [{ kty: 'oct', kid: 'one', k: Buffer.from(KEY).toString('base64url') }] };
      made.controlPlane.set('RequestAuthentication', `${NAMESPACE}/p`, {
        origin: { kind: 'RequestAuthentication', namespace: NAMESPACE, name: 'p', createdMs: 1n },
        targets: [{ kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } }],
        rules: [
          {
            issuer: 'https://issuer',
            jwks: JSON.stringify(jwks),
            fromHeaders: [{ name: 'x-token', prefix: '' }],
          },
        ],
      });
      const told = async () => (await ask(made, WEB))[2]?.includes('https://issuer') === true;
      await until(told, 'the policy is told');
      return made;
    }
    const WEB = { destination: '10.9.0.1:80' };
    const claims = { iss: 'https://issuer', sub: 'ann' };

    test.each([
      [{ jwt: jwt(claims, KEY) }, 'ok: its token is one of https://issuer/ann: the signature is right'],
      [
        { header: `X-Token: ${jwt(claims, KEY)}` },
        'ok: its token is one of https://issuer/ann: the signature is right',
      ],
      [{ jwt: jwt(claims, 'another key') }, 'refuse: 401: Jwt verification fails'],
      [{ jwt: jwt({ ...claims, exp: 1 }, KEY) }, 'refuse: 401: Jwt is expired'],
      [{ jwt: 'nonsense' }, expect.stringMatching(/^refuse: 401: Jwt is not in the form/)],
      [
        { claims: JSON.stringify(claims) },
        'ok: a token of https://issuer/ann is assumed; no signature was looked at',
      ],
      [{}, 'ok: it brings no token; tokens of https://issuer would be believed'],
    ])('%j', async (query, want) => {
      const steps = await ask(await believing(), { ...WEB, ...query } as Record<string, string>);
      const authentication = steps.find((step) => step.startsWith('authentication '));
      expect(authentication?.slice('authentication '.length)).toEqual(want);
    });
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
