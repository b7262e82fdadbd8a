import { describe, expect, test } from '@jest/globals';
import { boundPolicies } from '../resources/index/policies.ts';
import type { AuthorizationSubject } from './authorization-facts.ts';
import { auditing, authorize, externalChecks, shadowVerdict } from './authorize.ts';
import type { ConnectionView, TokenClaims } from './request-view.ts';
import { type PolicyParts, policy, type RuleParts } from './testing/policies.ts';
import { connection, request, type RequestParts } from './testing/requests.ts';
import { refusalOf, type Verdict } from './verdict.ts';

interface SubjectParts extends RequestParts {
  readonly path?: string;
  readonly from?: Partial<ConnectionView>;
  readonly claims?: Readonly<Record<string, unknown>>;
}

function subject({ path = '/', from = {}, claims, ...parts }: SubjectParts = {}): AuthorizationSubject {
  const token: TokenClaims | undefined = claims && {
    principal: `${String(claims['iss'])}/${String(claims['sub'])}`,
    claims,
  };
  return { request: request(path, parts), connection: connection(from), token };
}

function tcp(from: Partial<ConnectionView> = {}): AuthorizationSubject {
  return { request: undefined, connection: connection(from), token: undefined };
}

function verdict(policies: readonly PolicyParts[], asked: AuthorizationSubject): string {
  const found: Verdict = authorize(boundPolicies(policies.map(policy)), asked);
  return found.kind === 'allow' ? `allow ${found.by ?? '-'}` : found.kind;
}

/** Whether one rule matches: the only one of an ALLOW policy. */
function allows(rule: RuleParts, asked: AuthorizationSubject): boolean {
  return verdict([{ rules: [rule] }], asked) !== 'no-allow-matched';
}

describe('the order of policies', () => {
  const everybody = [{}];
  const cases: Record<string, [policies: readonly PolicyParts[], want: string]> = {
    'none attached allows': [[], 'allow -'],
    'ALLOW that matches': [[{ rules: everybody }], 'allow shop/p'],
    'ALLOW without rules matches nothing: deny by default': [[{}], 'no-allow-matched'],
    'DENY without rules matches nothing': [[{ action: 'DENY' }], 'allow -'],
    'DENY wins over ALLOW, whatever the order': [
      [
        { key: 'shop/a', rules: everybody },
        { key: 'shop/z', action: 'DENY', rules: everybody },
      ],
      'deny',
    ],
    'any ALLOW will do': [
      [
        { key: 'shop/a', rules: [{ to: [{ methods: ['PUT'] }] }] },
        { key: 'shop/b', rules: everybody },
      ],
      'allow shop/b',
    ],
    'AUDIT changes nothing': [[{ action: 'AUDIT', rules: everybody }], 'allow -'],
    'CUSTOM is not decided here': [[{ action: 'CUSTOM', rules: everybody }], 'allow -'],
    'a DENY that is not enforced': [[{ action: 'DENY', dryRun: true, rules: everybody }], 'allow -'],
    'an ALLOW that is not enforced': [[{ dryRun: true, rules: [{ to: [{ methods: ['PUT'] }] }] }], 'allow -'],
    'one that the control plane could not read denies, though it is an ALLOW': [
      [
        { key: 'shop/a', rules: everybody },
        { key: 'shop/b', unreadable: 'no', rules: everybody },
      ],
      'unreadable',
    ],
    'one that we cannot read denies': [[{ rules: [{ when: { 'experimental.x': ['y'] } }] }], 'unreadable'],
    'one that we cannot read and is not enforced does not': [
      [{ dryRun: true, rules: [{ when: { 'experimental.x': ['y'] } }] }],
      'allow -',
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [policies, want]) => {
    expect(verdict(policies, subject())).toBe(want);
  });

  test('a denial names the policy and the rule', () => {
    const denying = policy({ action: 'DENY', rules: [{ to: [{ methods: ['PUT'] }] }, {}] });
    const found = authorize(boundPolicies([denying]), subject());
    expect(found).toEqual({ kind: 'deny', by: 'shop/p', rule: 1 });
    expect(refusalOf(found)).toBe('explicitly denied by: shop/p, rule 1');
  });
});

describe('what a rule can ask', () => {
  const cases: Record<string, [rule: RuleParts, asked: AuthorizationSubject, want: boolean]> = {
    'an empty rule': [{}, subject(), true],
    'principals: exact': [{ from: [{ principals: ['cluster.local/ns/web/sa/front'] }] }, subject(), true],
    'principals: another': [{ from: [{ principals: ['cluster.local/ns/web/sa/back'] }] }, subject(), false],
    'principals: prefix': [{ from: [{ principals: ['cluster.local/ns/web/*'] }] }, subject(), true],
    'principals: suffix': [{ from: [{ principals: ['*/sa/front'] }] }, subject(), true],
    'principals: present': [{ from: [{ principals: ['*'] }] }, subject(), true],
    'principals: present, without any': [
      { from: [{ principals: ['*'] }] },
      subject({ from: { identity: undefined } }),
      false,
    ],
    'principals: without spiffe://, and nothing but it': [
      { from: [{ principals: ['spiffe://cluster.local/ns/web/sa/front'] }] },
      subject(),
      false,
    ],
    'notPrincipals: an identity that is not named': [{ from: [{ notPrincipals: ['x'] }] }, subject(), true],
    'notPrincipals: present, without any': [
      { from: [{ notPrincipals: ['*'] }] },
      subject({ from: { identity: undefined } }),
      true,
    ],
    namespaces: [{ from: [{ namespaces: ['a', 'web'] }] }, subject(), true],
    'namespaces: suffix': [{ from: [{ namespaces: ['*eb'] }] }, subject(), true],
    notNamespaces: [{ from: [{ notNamespaces: ['web'] }] }, subject(), false],
    serviceAccounts: [{ from: [{ serviceAccounts: ['web/front'] }] }, subject(), true],
    'serviceAccounts: the same name elsewhere': [
      { from: [{ serviceAccounts: ['other/front'] }] },
      subject(),
      false,
    ],
    notServiceAccounts: [{ from: [{ notServiceAccounts: ['web/front'] }] }, subject(), false],
    trustDomains: [{ from: [{ trustDomains: ['cluster.*'] }] }, subject(), true],
    notTrustDomains: [{ from: [{ notTrustDomains: ['other'] }] }, subject(), true],
    ipBlocks: [{ from: [{ ipBlocks: ['10.1.0.0/16'] }] }, subject(), true],
    'ipBlocks: one address': [{ from: [{ ipBlocks: ['10.1.0.8'] }] }, subject(), false],
    'ipBlocks: IPv6': [
      { from: [{ ipBlocks: ['fd00::/8'] }] },
      subject({ from: { sourceIp: 'fd00::7' } }),
      true,
    ],
    notIpBlocks: [{ from: [{ notIpBlocks: ['10.1.0.7'] }] }, subject(), false],
    'remoteIpBlocks: who the proxy before us saw': [
      { from: [{ remoteIpBlocks: ['203.0.113.4'] }] },
      subject({ headers: { 'x-forwarded-for': '198.51.100.1, 203.0.113.4' } }),
      true,
    ],
    'remoteIpBlocks: what a client claims before that does not count': [
      { from: [{ remoteIpBlocks: ['198.51.100.1'] }] },
      subject({ headers: { 'x-forwarded-for': '198.51.100.1, 203.0.113.4' } }),
      false,
    ],
    'remoteIpBlocks: without the header, the TCP peer': [
      { from: [{ remoteIpBlocks: ['10.1.0.7'] }] },
      subject(),
      true,
    ],
    'remoteIpBlocks: no address in the header': [
      { from: [{ remoteIpBlocks: ['10.1.0.7'] }] },
      subject({ headers: { 'x-forwarded-for': 'unknown' } }),
      true,
    ],
    'ipBlocks do not heed the header': [
      { from: [{ ipBlocks: ['203.0.113.4'] }] },
      subject({ headers: { 'x-forwarded-for': '203.0.113.4' } }),
      false,
    ],
    'fields of a source hold together': [
      { from: [{ namespaces: ['web'], ipBlocks: ['10.9.0.0/16'] }] },
      subject(),
      false,
    ],
    'sources are alternatives': [
      { from: [{ namespaces: ['other'] }, { namespaces: ['web'] }] },
      subject(),
      true,
    ],
    requestPrincipals: [
      { from: [{ requestPrincipals: ['https://i/alice'] }] },
      subject({ claims: { iss: 'https://i', sub: 'alice' } }),
      true,
    ],
    'requestPrincipals: present, without a token': [
      { from: [{ requestPrincipals: ['*'] }] },
      subject(),
      false,
    ],
    'notRequestPrincipals: present, without a token': [
      { from: [{ notRequestPrincipals: ['*'] }] },
      subject(),
      true,
    ],
    hosts: [{ to: [{ hosts: ['cart'] }] }, subject(), true],
    'hosts: whatever the case': [
      { to: [{ hosts: ['CART.Example'] }] },
      subject({ authority: 'cart.eXample' }),
      true,
    ],
    'hosts: suffix': [{ to: [{ hosts: ['*.example.com'] }] }, subject({ authority: 'a.EXAMPLE.com' }), true],
    'hosts: with a port, as it is': [
      { to: [{ hosts: ['cart:*'] }] },
      subject({ authority: 'cart:80' }),
      true,
    ],
    'hosts: to allow, a port is not overlooked': [
      { to: [{ hosts: ['cart'] }] },
      subject({ authority: 'cart:80' }),
      false,
    ],
    'notHosts: to allow, a port is overlooked': [
      { to: [{ notHosts: ['cart'] }] },
      subject({ authority: 'cart:80' }),
      false,
    ],
    methods: [{ to: [{ methods: ['GET', 'HEAD'] }] }, subject(), true],
    'methods: case counts': [{ to: [{ methods: ['get'] }] }, subject(), false],
    notMethods: [{ to: [{ notMethods: ['GET'] }] }, subject(), false],
    ports: [{ to: [{ ports: ['80'] }] }, subject(), true],
    notPorts: [{ to: [{ notPorts: ['80'] }] }, subject(), false],
    'paths: without the query': [{ to: [{ paths: ['/a'] }] }, subject({ path: '/a?b' }), true],
    'paths: prefix': [{ to: [{ paths: ['/admin*'] }] }, subject({ path: '/administration' }), true],
    'paths: suffix': [{ to: [{ paths: ['*.txt'] }] }, subject({ path: '/a/b.txt' }), true],
    'paths: present': [{ to: [{ paths: ['*'] }] }, subject({ path: '/' }), true],
    'paths: case counts': [{ to: [{ paths: ['/A'] }] }, subject({ path: '/a' }), false],
    notPaths: [{ to: [{ notPaths: ['/admin*'] }] }, subject({ path: '/admin/x' }), false],
    'paths: gRPC': [
      { to: [{ methods: ['POST'], paths: ['/shop.Cart/*'] }] },
      subject({ method: 'POST', path: '/shop.Cart/Add' }),
      true,
    ],
    'paths: template': [
      { to: [{ paths: ['/foo/{*}/bar/{**}'] }] },
      subject({ path: '/foo/buzz/bar/baz' }),
      true,
    ],
    'paths: template among others': [
      { to: [{ paths: ['/x', '/foo/{*}'] }] },
      subject({ path: '/foo/bar/baz' }),
      false,
    ],
    'notPaths: template': [{ to: [{ notPaths: ['/foo/{*}'] }] }, subject({ path: '/foo/bar' }), false],
    'fields of an operation hold together': [
      { to: [{ methods: ['GET'], paths: ['/b'] }] },
      subject({ path: '/a' }),
      false,
    ],
    'operations are alternatives': [
      { to: [{ paths: ['/b'] }, { methods: ['GET'] }] },
      subject({ path: '/a' }),
      true,
    ],
    'from, to and when hold together': [
      { from: [{ namespaces: ['web'] }], to: [{ methods: ['GET'] }], when: { 'source.ip': ['10.9.0.0/16'] } },
      subject(),
      false,
    ],
    'when: a header': [
      { when: { 'request.headers[X-Token]': ['admin'] } },
      subject({ headers: { 'x-token': 'admin' } }),
      true,
    ],
    'when: a header that is repeated is one, with commas': [
      { when: { 'request.headers[x]': ['a,b'] } },
      { ...subject(), request: { ...request('/'), fields: ['x', 'a', 'x', 'b'] } },
      true,
    ],
    'when: a header that is missing meets no value': [
      { when: { 'request.headers[x]': ['*'] } },
      subject(),
      false,
    ],
    'when: a header that is missing has none of the values': [
      { when: { '!request.headers[x]': ['a'] } },
      subject(),
      true,
    ],
    'when: a header that must not be there': [
      { when: { '!request.headers[x]': ['*'] } },
      subject({ headers: { x: '' } }),
      false,
    ],
    'when: several conditions hold together': [
      { when: { 'request.headers[x]': ['1'], 'request.headers[y]': ['1'] } },
      subject({ headers: { x: '1' } }),
      false,
    ],
    'when: source.ip': [{ when: { 'source.ip': ['10.1.0.0/16'] } }, subject(), true],
    'when: remote.ip': [
      { when: { 'remote.ip': ['203.0.113.0/24'] } },
      subject({ headers: { 'x-forwarded-for': '203.0.113.4' } }),
      true,
    ],
    'when: source.namespace': [{ when: { 'source.namespace': ['web'] } }, subject(), true],
    'when: source.principal': [{ when: { 'source.principal': ['*front'] } }, subject(), true],
    'when: source.serviceAccount': [{ when: { 'source.serviceAccount': ['web/front'] } }, subject(), true],
    'when: source.trustDomain': [{ when: { 'source.trustDomain': ['cluster.local'] } }, subject(), true],
    'when: destination.ip': [{ when: { 'destination.ip': ['10.96.0.9'] } }, subject(), true],
    'when: destination.port': [{ when: { 'destination.port': ['80'] } }, subject(), true],
    'when: connection.sni': [
      { when: { 'connection.sni': ['*.example.com'] } },
      subject({ from: { sni: 'a.example.com' } }),
      true,
    ],
    'when: request.auth.principal': [
      { when: { 'request.auth.principal': ['i/alice'] } },
      subject({ claims: { iss: 'i', sub: 'alice' } }),
      true,
    ],
    'when: request.auth.audiences, one of several': [
      { when: { 'request.auth.audiences': ['shop'] } },
      subject({ claims: { iss: 'i', sub: 's', aud: ['x', 'shop'] } }),
      true,
    ],
    'when: request.auth.presenter': [
      { when: { 'request.auth.presenter': ['client'] } },
      subject({ claims: { iss: 'i', sub: 's', azp: 'client' } }),
      true,
    ],
    'when: a claim': [
      { when: { 'request.auth.claims[groups]': ['admin'] } },
      subject({ claims: { groups: ['users', 'admin'] } }),
      true,
    ],
    'when: a nested claim': [
      { when: { 'request.auth.claims[realm][roles]': ['admin*'] } },
      subject({ claims: { realm: { roles: ['administrator'] } } }),
      true,
    ],
    'when: a claim that is no text has no value': [
      { when: { 'request.auth.claims[admin]': ['true'] } },
      subject({ claims: { admin: true } }),
      false,
    ],
    'when: what an object inherits is no claim': [
      { when: { 'request.auth.claims[constructor][name]': ['Object'] } },
      subject({ claims: {} }),
      false,
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [rule, asked, want]) => {
    expect(allows(rule, asked)).toBe(want);
  });
});

describe('hosts in DENY', () => {
  const denied = (rule: RuleParts, authority: string) =>
    verdict([{ action: 'DENY', rules: [rule] }], subject({ authority })) === 'deny';

  test('a port that the client adds does not get past', () => {
    expect(denied({ to: [{ hosts: ['cart'] }] }, 'cart:80')).toBe(true);
    expect(denied({ to: [{ hosts: ['*.example.com'] }] }, 'a.example.com:8080')).toBe(true);
    expect(denied({ when: { 'request.headers[host]': ['cart'] } }, 'Cart:80')).toBe(true);
  });

  test('nor does a dot behind the name', () => {
    expect(denied({ to: [{ hosts: ['cart.shop'] }] }, 'cart.shop.')).toBe(true);
  });

  test('all hosts but one: another spelling of the one is not the one', () => {
    expect(denied({ to: [{ notHosts: ['cart'] }] }, 'cart')).toBe(false);
    expect(denied({ to: [{ notHosts: ['cart'] }] }, 'cart:80')).toBe(true);
  });
});

describe('a connection that is no HTTP', () => {
  const cases: Record<string, [policies: readonly PolicyParts[], want: string]> = {
    'ALLOW by identity': [[{ rules: [{ from: [{ namespaces: ['web'] }] }] }], 'allow shop/p'],
    'ALLOW by port': [[{ rules: [{ to: [{ ports: ['80'] }] }] }], 'allow shop/p'],
    'ALLOW with a condition on requests never matches': [
      [{ rules: [{ to: [{ ports: ['80'], methods: ['GET'] }] }] }],
      'no-allow-matched',
    ],
    'nor does it with a negative one': [[{ rules: [{ to: [{ notPaths: ['/x'] }] }] }], 'no-allow-matched'],
    'DENY loses its conditions on requests, and denies more': [
      [{ action: 'DENY', rules: [{ to: [{ ports: ['80'], methods: ['GET'] }] }] }],
      'deny',
    ],
    'DENY with none but those denies everything': [
      [{ action: 'DENY', rules: [{ to: [{ methods: ['GET'] }] }] }],
      'deny',
    ],
    'DENY still heeds the others': [
      [{ action: 'DENY', rules: [{ to: [{ ports: ['81'], methods: ['GET'] }] }] }],
      'allow -',
    ],
    SNI: [[{ rules: [{ when: { 'connection.sni': ['a.example'] } }] }], 'allow shop/p'],
  };

  test.each(Object.entries(cases))('%s', (_, [policies, want]) => {
    expect(verdict(policies, tcp({ sni: 'a.example' }))).toBe(want);
  });

  test('CUSTOM asks', () => {
    const custom = policy({ action: 'CUSTOM', rules: [{ to: [{ paths: ['/x'] }] }] });
    expect(externalChecks(boundPolicies([custom]), tcp())).toEqual([
      { provider: 'asker', policies: ['shop/p'] },
    ]);
  });
});

describe('CUSTOM, AUDIT and dry run', () => {
  test('providers of the policies that match, each once', () => {
    const on = (key: string, provider: string, paths: readonly string[]) =>
      policy({ key, action: 'CUSTOM', provider, rules: [{ to: [{ paths }] }] });
    const bound = boundPolicies([
      on('shop/c', 'one', ['/a']),
      on('shop/a', 'two', ['/a']),
      on('shop/b', 'one', ['/a']),
      on('shop/d', 'three', ['/b']),
    ]);
    expect(externalChecks(bound, subject({ path: '/a' }))).toEqual([
      { provider: 'two', policies: ['shop/a'] },
      { provider: 'one', policies: ['shop/b', 'shop/c'] },
    ]);
  });

  test('AUDIT names the policies that match', () => {
    const bound = boundPolicies([
      policy({ action: 'AUDIT', rules: [{}] }),
      policy({ key: 'shop/q', action: 'AUDIT' }),
    ]);
    expect(auditing(bound, subject()).map(({ key }) => key)).toEqual(['shop/p']);
  });

  test('the shadow verdict is what enforcing all of them would say', () => {
    const bound = boundPolicies([
      policy({ key: 'shop/a', rules: [{}] }),
      policy({ key: 'shop/b', action: 'DENY', dryRun: true, rules: [{}] }),
    ]);
    expect(authorize(bound, subject())).toEqual({ kind: 'allow', by: 'shop/a' });
    expect(shadowVerdict(bound, subject())).toEqual({ kind: 'deny', by: 'shop/b', rule: 0 });
  });

  test('without policies that are not enforced there is no shadow', () => {
    expect(shadowVerdict(boundPolicies([policy({ rules: [{}] })]), subject())).toBeUndefined();
  });
});

describe('a policy that cannot be read', () => {
  const cases: Record<string, PolicyParts> = {
    'a condition that nobody knows': { rules: [{ when: { 'request.nonsense': ['a'] } }] },
    'an experimental one': { rules: [{ when: { 'experimental.envoy.filters.x[y]': ['a'] } }] },
    'a header without a name': { rules: [{ when: { 'request.headers[]': ['a'] } }] },
    'a header that HTTP would not take': { rules: [{ when: { 'request.headers[a b]': ['a'] } }] },
    'a condition without values': { rules: [{ when: { 'source.ip': [] } }] },
    'an address that is none': { rules: [{ from: [{ ipBlocks: ['10.0.0'] }] }] },
    'a block that is none': { rules: [{ from: [{ remoteIpBlocks: ['10.0.0.0/33'] }] }] },
    'a port that is none': { rules: [{ to: [{ ports: ['http'] }] }] },
    'port 0': { rules: [{ to: [{ ports: ['0'] }] }] },
    'a source that says nothing': { rules: [{ from: [{}] }] },
    'an operation that says nothing': { rules: [{ to: [{}] }] },
    'a service account with a wildcard': { rules: [{ from: [{ serviceAccounts: ['web/*'] }] }] },
    'a service account without a namespace': { rules: [{ from: [{ serviceAccounts: ['front'] }] }] },
    'text in the segment of an operator': { rules: [{ to: [{ paths: ['/foo/{*}.txt'] }] }] },
    'an operator behind {**}': { rules: [{ to: [{ paths: ['/{**}/foo/{*}'] }] }] },
    'an asterisk outside an operator': { rules: [{ to: [{ paths: ['/*/baz/{*}'] }] }] },
    'CUSTOM without a provider': { action: 'CUSTOM', provider: '', rules: [{}] },
  };

  test.each(Object.entries(cases))('%s: everything is denied', (_, parts) => {
    expect(verdict([{ action: 'DENY', ...parts }], subject())).toBe('unreadable');
    expect(verdict([{ action: 'ALLOW', ...parts }], tcp())).toBe('unreadable');
  });
});
