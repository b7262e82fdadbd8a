import { describe, expect, test } from '@jest/globals';
import type { ServiceKey } from '@ambit/model/address';
import { NO_FILTERS } from '../resources/http-route.ts';
import { boundPolicies } from '../resources/index/policies.ts';
import type { RequestAuthentication } from '../resources/request-authentication.ts';
import { foreignRefusal, isForeign, type RouteEnd, subjectSent } from './foreign-backend.ts';
import { type PolicyParts, policy } from './testing/policies.ts';
import { connection, request } from './testing/requests.ts';

const CART: ServiceKey = 'shop/cart.shop.svc.cluster.local';
const LEDGER: ServiceKey = 'bank/ledger.bank.svc.cluster.local';
const EVERYBODY = [{}];
const issuer = (key: string): RequestAuthentication => ({
  key,
  origin: { kind: 'RequestAuthentication', namespace: 'shop', name: key, createdMs: 0 },
  targets: [],
  rules: [],
  unreadable: undefined,
});
const end = (
  service: ServiceKey,
  policies: readonly PolicyParts[] = [],
  authentication: readonly RequestAuthentication[] = [],
  port = 80,
): RouteEnd => ({
  service,
  port,
  config: { authorization: boundPolicies(policies.map(policy)), authentication },
});
const subject = {
  request: request('/'),
  connection: connection({ destination: { ip: '10.9.0.1', port: 80 } }),
  token: { principal: 'https://issuer/admin', claims: { iss: 'https://issuer', sub: 'admin' } },
};
const NOBODY: PolicyParts = { key: 'bank/nobody' };

describe('a route into another namespace', () => {
  test.each<[string, readonly PolicyParts[], string | undefined]>([
    ['to a service without policies', [], undefined],
    ['to one that lets nobody in', [NOBODY], 'none'],
    ['to one that lets everybody in', [{ key: 'bank/p', rules: EVERYBODY }], undefined],
    ['to one that denies it', [{ key: 'bank/p', action: 'DENY', rules: EVERYBODY }], 'bank/p'],
    ['to one whose policy cannot be read', [{ key: 'bank/p', unreadable: 'no' }], 'bank/p'],
    ['to one that would ask a service', [{ key: 'bank/p', action: 'CUSTOM', rules: EVERYBODY }], 'bank/p'],
    [
      'to one that denies its port, which is not the one that was asked for',
      [{ key: 'bank/p', action: 'DENY', rules: [{ to: [{ ports: ['8080'] }] }] }],
      'bank/p',
    ],
  ])('%s', (_, policies, want) => {
    expect(foreignRefusal(end(CART), end(LEDGER, policies, [], 8080), subject, subject)).toBe(want);
  });

  const PAYMENTS: ServiceKey = 'shop/payments.shop.svc.cluster.local';
  test.each<[string, ServiceKey, string | undefined, string | undefined, boolean]>([
    ['no route', CART, undefined, undefined, false],
    ['of its own, to the service itself', CART, 'shop', undefined, false],
    ['of its own, within the namespace', PAYMENTS, 'shop', undefined, false],
    ['of its own, elsewhere', LEDGER, 'shop', undefined, true],
    ['of clients, to the service itself', CART, 'web', 'web', true],
    ['of clients, within its namespace', PAYMENTS, 'web', 'web', true],
    ['of clients, into theirs', 'web/front.web.svc.cluster.local', 'web', 'web', true],
    ['of the waypoint’s namespace, to the service itself', CART, 'infra', undefined, true],
    ['of the waypoint’s namespace, within that of the service', PAYMENTS, 'infra', undefined, true],
    ['of the waypoint’s namespace, into that', 'infra/x.infra.svc.cluster.local', 'infra', undefined, true],
  ])('%s', (_, service, authorNamespace, consumerNamespace, want) => {
    const lead = { backend: { to: { service, port: 80 }, subset: '' }, consumerNamespace, authorNamespace };
    expect(isForeign(CART, lead)).toBe(want);
  });

  test('a service that authorizes was asked of what it matched, and of nothing that a route made of it', () => {
    const custom = (path: string): PolicyParts => ({
      key: 'infra/asks',
      action: 'CUSTOM',
      rules: [{ to: [{ paths: [path] }] }],
    });
    const sent = { ...subject, request: request('/admin') };
    const refusal = (path: string) =>
      foreignRefusal(end(CART, [custom(path)]), end(LEDGER, [custom(path)]), subject, sent);
    expect(refusal('/*')).toBeUndefined();
    expect(refusal('/admin')).toBe('infra/asks');
  });

  test.each([
    ['/secret', '/secret'],
    ['/public/../secret', '/secret'],
    ['/%73ecret', '/secret'],
    ['/%00', undefined],
    ['/secret#', undefined],
  ])('a path that a filter makes %s is seen there as %s', (path, want) => {
    const rewrite = { hostname: 'ledger', path: { kind: 'replace-full' as const, path } };
    const changes = {
      filters: [{ ...NO_FILTERS, rewrite }],
      matchedPrefixLength: 0,
      consumerNamespace: undefined,
    };
    expect(subjectSent(changes, subject, 'BASE')?.request?.path).toBe(want);
  });

  test('a token counts there if all that it may have been believed by counts there', () => {
    const admins: PolicyParts = {
      key: 'bank/p',
      rules: [{ from: [{ requestPrincipals: ['https://issuer/admin'] }] }],
    };
    const [ofWaypoint, own] = [issuer('infra/all'), issuer('shop/own')];
    const refusal = (authentication: readonly RequestAuthentication[]) =>
      foreignRefusal(end(CART, [], authentication), end(LEDGER, [admins], [ofWaypoint]), subject, subject);
    expect(refusal([ofWaypoint])).toBeUndefined();
    expect(refusal([ofWaypoint, own])).toBe('none');
  });
});
