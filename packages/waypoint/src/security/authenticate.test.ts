import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  createWaypointResource,
  encodeWaypointResource,
  type JwtRule,
  type WaypointFields,
} from '@ambit/api/waypoint';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose';
import { decodeResource } from '../resources/decode/decode.ts';
import type { RequestAuthentication } from '../resources/request-authentication.ts';
import { request, type RequestParts } from '../decide/testing/requests.ts';
import { Authenticator, type Authentication } from './authenticate.ts';
import { type FetchDocument, KeySets } from './jwks.ts';
import { MAX_TOKEN_LENGTH, MAX_VERIFIED_LENGTH } from './limits.ts';

const ISSUER = 'https://issuer.example';
const NOW_S = Date.UTC(2026, 0, 1) / 1_000;
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
const SECRET = Buffer.from('a secret of thirty-two octets or more, which is enough for 512 bits: 0123');

interface Signer {
  readonly key: CryptoKey | Uint8Array;
  readonly jwk: JWK;
}

const signers = new Map<string, Signer>();

beforeAll(async () => {
  for (const alg of ALGORITHMS) {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    signers.set(alg, { key: privateKey, jwk: { ...(await exportJWK(publicKey)), kid: `k-${alg}`, alg } });
  }
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    signers.set(alg, {
      key: SECRET,
      jwk: { kty: 'oct', k: SECRET.toString('base64url'), kid: `k-${alg}`, alg },
    });
  }
});

function signer(alg: string): Signer {
  const found = signers.get(alg);
  if (!found) throw new Error(`no key for ${alg}`);
  return found;
}

function jwks(...algs: readonly string[]): string {
  return JSON.stringify({ keys: algs.map((alg) => signer(alg).jwk) });
}

const CLAIMS = { iss: ISSUER, sub: 'alice', exp: NOW_S + 600 };

async function token(claims: object = CLAIMS, header: { alg?: string; kid?: string } = {}): Promise<string> {
  const alg = header.alg ?? 'ES256';
  const payload = new TextEncoder().encode(JSON.stringify(claims));
  const kid = header.kid ?? `k-${alg}`;
  return await new CompactSign(payload).setProtectedHeader({ alg, kid }).sign(signer(alg).key);
}

function policy(rules: readonly WaypointFields<JwtRule>[], unreadable = ''): RequestAuthentication {
  const message = createWaypointResource('RequestAuthentication', {
    origin: { kind: 'RequestAuthentication', namespace: 'shop', name: 'a', createdMs: 0n },
    targets: [{ kind: { $case: 'gateway', value: 'shop/waypoint' } }],
    rules,
    unreadable,
  });
  const decoded = decodeResource(
    'RequestAuthentication',
    'shop/a',
    encodeWaypointResource('RequestAuthentication', message),
    undefined,
  );
  const made = decoded.kind === 'value' ? decoded.value : decoded.refusing;
  if (!made) throw new Error('no policy');
  return made;
}

function rule(parts: WaypointFields<JwtRule> = {}): WaypointFields<JwtRule> {
  return { issuer: ISSUER, jwks: jwks('ES256'), ...parts };
}

interface Setup {
  readonly fetch?: FetchDocument;
  readonly clock?: FakeClock;
}

function authenticator({
  fetch = () => Promise.reject(new Error('nobody is there')),
  clock = new FakeClock(),
}: Setup = {}) {
  const failures: string[] = [];
  const keySets = new KeySets({
    fetch,
    clock,
    failed: (source, problem) => void failures.push(`${source}: ${problem}`),
  });
  return { authenticator: new Authenticator(keySets, clock), clock, failures };
}

/** `ok alice`, `ok -` without a token, or what the client is told. */
async function ask(
  rules: readonly WaypointFields<JwtRule>[],
  parts: RequestParts & { path?: string },
  setup: Setup = {},
): Promise<string> {
  return said(
    await authenticator(setup).authenticator.authenticate([policy(rules)], request(parts.path ?? '/', parts)),
  );
}

function said(found: Authentication): string {
  if (found.kind === 'refuse') return `${found.status} ${found.reason}`;
  return `ok ${found.token?.principal ?? '-'}`;
}

const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });

describe('a token', () => {
  test.each([...ALGORITHMS, 'HS256', 'HS384', 'HS512'])('signed with %s is believed', async (alg) => {
    expect(await ask([rule({ jwks: jwks(alg) })], bearer(await token(CLAIMS, { alg })))).toBe(
      `ok ${ISSUER}/alice`,
    );
  });

  test('that is not there is no problem', async () => {
    expect(await ask([rule()], {})).toBe('ok -');
    expect(await ask([rule()], { headers: { authorization: 'Basic YTpi' } })).toBe('ok -');
    expect(await ask([rule()], { headers: { authorization: 'Bearer ' } })).toBe('ok -');
  });

  test('is not asked of a preflight', async () => {
    const headers = {
      origin: 'https://a',
      'access-control-request-method': 'PUT',
      authorization: 'Bearer nonsense',
    };
    expect(await ask([rule()], { method: 'OPTIONS', headers })).toBe('ok -');
  });

  const cases: Record<string, [claims: object, want: string, parts?: WaypointFields<JwtRule>]> = {
    'of another issuer': [{ ...CLAIMS, iss: 'https://other' }, '401 Jwt issuer is not configured'],
    'without an issuer': [{ sub: 'alice' }, '401 Jwt issuer is not configured'],
    'that ended, clocks considered': [{ ...CLAIMS, exp: NOW_S - 61 }, '401 Jwt is expired'],
    'that ended within what clocks may differ by': [{ ...CLAIMS, exp: NOW_S - 59 }, `ok ${ISSUER}/alice`],
    'that has not begun, clocks considered': [{ ...CLAIMS, nbf: NOW_S + 61 }, '401 Jwt not yet valid'],
    'that begins within what clocks may differ by': [{ ...CLAIMS, nbf: NOW_S + 59 }, `ok ${ISSUER}/alice`],
    'without an end': [{ iss: ISSUER, sub: 'alice' }, `ok ${ISSUER}/alice`],
    'with an end that is no number': [
      { ...CLAIMS, exp: 'never' },
      '401 Jwt payload [exp] field is not a positive integer',
    ],
    'with a subject that is no text': [{ ...CLAIMS, sub: 7 }, '401 Jwt payload [sub] field is not a string'],
    'for another audience': [
      { ...CLAIMS, aud: 'x' },
      '403 Audiences in Jwt are not allowed',
      { audiences: ['shop'] },
    ],
    'without an audience, where one is wanted': [
      CLAIMS,
      '403 Audiences in Jwt are not allowed',
      { audiences: ['shop'] },
    ],
    'for one of the audiences': [
      { ...CLAIMS, aud: ['x', 'shop'] },
      `ok ${ISSUER}/alice`,
      { audiences: ['y', 'shop'] },
    ],
    'for any audience, where none is wanted': [{ ...CLAIMS, aud: 'x' }, `ok ${ISSUER}/alice`],
    'for an audience, but for scheme and last slash': [
      { ...CLAIMS, aud: 'https://shop/' },
      `ok ${ISSUER}/alice`,
      { audiences: ['shop'] },
    ],
    'without a subject names nobody': [{ iss: ISSUER }, 'ok '],
  };

  test.each(Object.entries(cases))('%s', async (_, [claims, want, parts = {}]) => {
    expect(await ask([rule(parts)], bearer(await token(claims)))).toBe(want);
  });
});

describe('a forged token', () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  test('with a signature that was changed', async () => {
    const good = await token();
    const [header, payload, signature = ''] = good.split('.');
    const flipped = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    expect(await ask([rule()], bearer(`${header}.${payload}.${flipped}`))).toBe('401 Jwt verification fails');
  });

  test('with claims that were changed', async () => {
    const [header, , signature] = (await token()).split('.');
    const forged = `${header}.${encode({ ...CLAIMS, sub: 'root' })}.${signature}`;
    expect(await ask([rule()], bearer(forged))).toBe('401 Jwt verification fails');
  });

  test('of another key', async () => {
    const other = await generateKeyPair('ES256');
    const forged = await new CompactSign(new TextEncoder().encode(JSON.stringify(CLAIMS)))
      .setProtectedHeader({ alg: 'ES256', kid: 'k-ES256' })
      .sign(other.privateKey);
    expect(await ask([rule()], bearer(forged))).toBe('401 Jwt verification fails');
  });

  test.each(['none', 'None', 'NONE', 'nOnE'])('with the algorithm %s', async (alg) => {
    for (const signature of ['', 'AA']) {
      const forged = `${encode({ alg, kid: 'k-ES256' })}.${encode(CLAIMS)}.${signature}`;
      expect(await ask([rule()], bearer(forged))).toMatch(/^401 /);
    }
  });

  test('with the public key taken for a secret', async () => {
    const { jwk } = signer('RS256');
    const publicText = Buffer.from(JSON.stringify(jwk));
    for (const key of [publicText, Buffer.from(String(jwk.n), 'base64url')]) {
      const forged = await new CompactSign(new TextEncoder().encode(JSON.stringify(CLAIMS)))
        .setProtectedHeader({ alg: 'HS256', kid: 'k-RS256' })
        .sign(key);
      const keys = JSON.stringify({ keys: [{ ...jwk, alg: undefined }] });
      expect(await ask([rule({ jwks: keys })], bearer(forged))).toBe(
        "401 Jwks doesn't have key to match kid or alg from Jwt",
      );
    }
  });

  test('that brings its own key', async () => {
    const own = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(own.publicKey);
    const forged = await new CompactSign(new TextEncoder().encode(JSON.stringify(CLAIMS)))
      .setProtectedHeader({ alg: 'ES256', kid: 'k-ES256', jwk, jku: 'https://evil.example/keys' } as never)
      .sign(own.privateKey);
    expect(await ask([rule()], bearer(forged))).toBe('401 Jwt verification fails');
  });

  test('with an algorithm that is not the key’s', async () => {
    const forged = await token(CLAIMS, { alg: 'RS512', kid: 'k-RS256' });
    expect(await ask([rule({ jwks: jwks('RS256') })], bearer(forged))).toBe(
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    );
  });

  test('with a critical extension', async () => {
    const forged = `${encode({ alg: 'ES256', kid: 'k-ES256', crit: ['x'], x: 1 })}.${encode(CLAIMS)}.AA`;
    expect(await ask([rule()], bearer(forged))).toBe('401 Jwt header [crit] field is not supported');
  });

  const malformed: Record<string, [text: string, want: RegExp]> = {
    'one part': ['abc', /not in the form/],
    'four parts': ['a.b.c.d', /not in the form/],
    'empty parts': ['..', /invalid Base64url/],
    'no base64url': ['a+b.c.d', /Jwt header is an invalid Base64url/],
    'a header that is no JSON': ['YWJj.YWJj.YWJj', /Jwt header is an invalid JSON/],
    'a header that is no object': [`${encode([])}.${encode({})}.AA`, /Jwt header is an invalid JSON/],
    'no algorithm': [`${encode({})}.${encode({})}.AA`, /\[alg\]/],
    'a key id that is no text': [`${encode({ alg: 'ES256', kid: 7 })}.${encode({})}.AA`, /\[kid\]/],
    'claims that are no JSON': [`${encode({ alg: 'ES256' })}.YWJj.AA`, /Jwt payload is an invalid JSON/],
    'too long': [`${encode({ alg: 'ES256' })}.${encode({ a: 'x'.repeat(20_000) })}.AA`, /not in the form/],
  };

  test.each(Object.entries(malformed))('%s', async (_, [text, want]) => {
    expect(await ask([rule()], bearer(text))).toMatch(want);
  });

  test('is never believed, and nothing breaks: 3 000 mutations of a good one', async () => {
    const good = await token();
    const { authenticator: asked } = authenticator();
    const policies = [policy([rule()])];
    let state = 9;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % count;
    };
    const alphabet = 'ABCabc019-_.=+ ';
    for (let i = 0; i < 3_000; i++) {
      const chars = good.split('');
      for (let edits = 1 + below(3); edits > 0; edits--)
        chars[below(chars.length)] = alphabet[below(alphabet.length)] ?? '';
      const text = chars.join('').slice(0, below(5) === 0 ? below(good.length) : undefined);
      if (text === good) continue;
      const found = await asked.authenticate(policies, request('/', bearer(text)));
      // The last character of the signature holds bits that nobody looks at.
      if (found.kind === 'ok' && found.token && text.slice(0, -1) !== good.slice(0, -1))
        throw new Error(`believed ${text}`);
    }
  });
});

describe('where tokens are', () => {
  const places: Record<
    string,
    [parts: WaypointFields<JwtRule>, where: (text: string) => RequestParts & { path?: string }]
  > = {
    'the usual header': [{}, (text) => bearer(text)],
    'the usual parameter': [{}, (text) => ({ path: `/?a=1&access_token=${text}` })],
    'a header with a prefix': [
      { fromHeaders: [{ name: 'X-Jwt', prefix: 'Token ' }] },
      (text) => ({ headers: { 'x-jwt': `Token ${text}` } }),
    ],
    'a header without a prefix': [
      { fromHeaders: [{ name: 'x-jwt', prefix: '' }] },
      (text) => ({ headers: { 'x-jwt': text } }),
    ],
    'a parameter': [{ fromParams: ['jwt'] }, (text) => ({ path: `/?jwt=${text}` })],
    'a cookie': [{ fromCookies: ['auth'] }, (text) => ({ headers: { cookie: `a=b; auth=${text}` } })],
  };

  test.each(Object.entries(places))('%s', async (_, [parts, where]) => {
    const asked = where(await token());
    expect(await ask([rule(parts)], asked)).toBe(`ok ${ISSUER}/alice`);
    expect(await ask([rule(parts)], where('nonsense'))).toMatch(/^401 /);
  });

  test('elsewhere it is not looked for', async () => {
    expect(await ask([rule({ fromCookies: ['auth'] })], bearer(await token()))).toBe('ok -');
    expect(
      await ask([rule({ fromHeaders: [{ name: 'x-jwt', prefix: 'Token ' }] })], {
        headers: { 'x-jwt': await token() },
      }),
    ).toBe('ok -');
  });
});

describe('several rules', () => {
  test('any that believes will do', async () => {
    const other = rule({ issuer: 'https://other', jwks: jwks('RS256') });
    expect(await ask([other, rule()], bearer(await token()))).toBe(`ok ${ISSUER}/alice`);
    const theirs = await token({ iss: 'https://other', sub: 'bob' }, { alg: 'RS256' });
    expect(await ask([other, rule()], bearer(theirs))).toBe('ok https://other/bob');
  });

  test('the refusal is that of the issuer’s own rule', async () => {
    const other = rule({ issuer: 'https://other' });
    const expired = bearer(await token({ ...CLAIMS, exp: 1 }));
    expect(await ask([other, rule()], expired)).toBe('401 Jwt is expired');
    expect(await ask([rule(), other], expired)).toBe('401 Jwt is expired');
  });

  test('of policies, all rules count', async () => {
    const { authenticator: asked } = authenticator();
    const policies = [policy([rule({ issuer: 'https://other' })]), policy([rule()])];
    expect(said(await asked.authenticate(policies, request('/', bearer(await token()))))).toBe(
      `ok ${ISSUER}/alice`,
    );
  });

  test('with a policy that cannot be read, every request is refused', async () => {
    const { authenticator: asked } = authenticator();
    const policies = [policy([rule()]), policy([], 'nonsense')];
    expect(said(await asked.authenticate(policies, request('/', bearer(await token()))))).toMatch(/^401 /);
    expect(said(await asked.authenticate(policies, request('/')))).toMatch(/^401 /);
  });

  test('a token that nobody believes is refused in the company of a good one, wherever it stands', async () => {
    const { authenticator: asked } = authenticator();
    const good = await token();
    const forged = `${good.slice(0, -8)}AAAAAAAA`;
    const places: [string, string[]][] = [
      ['/', ['authorization', `Bearer ${good}`, 'authorization', `Bearer ${forged}`]],
      [`/?access_token=${forged}`, ['authorization', `Bearer ${good}`]],
      [`/?access_token=${good}&access_token=${forged}`, []],
      [`/?access_token=${good}&access%5Ftoken=${forged}`, []],
    ];
    for (const [path, fields] of places) {
      const both = { ...request(path), fields };
      expect(said(await asked.authenticate([policy([rule()])], both))).toMatch(/^401 /);
    }
    const twice = {
      ...request('/'),
      fields: ['authorization', `Bearer ${good}`, 'authorization', `Bearer ${good}`],
    };
    expect(said(await asked.authenticate([policy([rule()])], twice))).toBe(`ok ${ISSUER}/alice`);
  });

  test('no claim may fill a field that says where a message goes, or where it ends', () => {
    for (const header of ['transfer-encoding', 'Host', 'content-length', ':path', 'connection']) {
      expect(policy([rule({ outputClaimToHeaders: [{ header, claim: 'a' }] })]).unreadable).toBeDefined();
      expect(policy([rule({ outputPayloadToHeader: header })]).unreadable).toBeDefined();
    }
    expect(policy([rule({ outputPayloadToHeader: 'x-payload' })]).unreadable).toBeUndefined();
  });

  test('two good tokens: the first says who asks', async () => {
    const other = rule({
      issuer: 'https://other',
      jwks: jwks('RS256'),
      fromHeaders: [{ name: 'x-service', prefix: '' }],
    });
    const theirs = await token({ iss: 'https://other', sub: 'bob' }, { alg: 'RS256' });
    const fields = { ...bearer(await token()), 'x-service': theirs };
    expect(await ask([rule(), other], fields)).toBe(`ok ${ISSUER}/alice`);
  });
});

describe('what becomes of the request', () => {
  const changes = async (
    parts: WaypointFields<JwtRule>,
    claims: object = CLAIMS,
    more: Record<string, string> = {},
  ) => {
    const text = await token(claims);
    const { authenticator: asked } = authenticator();
    const found = await asked.authenticate(
      [policy([rule(parts)])],
      request('/', { headers: { authorization: `Bearer ${text}`, ...more } }),
    );
    if (found.kind !== 'ok') throw new Error(found.reason);
    return { ...found, payload: text.split('.')[1] };
  };

  test('the token is taken off, unless it is to be forwarded', async () => {
    expect((await changes({})).changes).toEqual({ remove: ['authorization'], set: [], vouched: [] });
    expect((await changes({ forwardOriginalToken: true })).changes).toEqual({
      remove: [],
      set: [],
      vouched: [],
    });
  });

  test('the payload goes into a header, as it stands in the token', async () => {
    const { changes: made, payload } = await changes({ outputPayloadToHeader: 'X-Payload' });
    expect(made.set).toEqual(['x-payload', payload]);
  });

  test('claims go into headers, nested ones by their way', async () => {
    const { changes: made } = await changes(
      {
        outputClaimToHeaders: [
          { header: 'X-Sub', claim: 'sub' },
          { header: 'x-role', claim: 'realm.role' },
          { header: 'x-age', claim: 'age' },
          { header: 'x-admin', claim: 'admin' },
          { header: 'x-list', claim: 'list' },
          { header: 'x-none', claim: 'none.at.all' },
          { header: 'x-evil', claim: 'evil' },
          { header: 'x-control', claim: 'control' },
          { header: 'x-delete', claim: 'delete' },
          { header: 'x-url', claim: 'https://claims.example/x' },
        ],
      },
      {
        ...CLAIMS,
        realm: { role: 'admin' },
        age: 7,
        admin: true,
        list: ['a'],
        evil: 'a\r\nb: c',
        control: 'Eve\u0001',
        delete: '\u007f',
        'https://claims.example/x': 'u',
      },
    );
    expect(made.set).toEqual([
      'x-sub',
      'alice',
      'x-role',
      'admin',
      'x-age',
      '7',
      'x-admin',
      'true',
      'x-url',
      'u',
    ]);
  });

  test('a header that a rule fills is taken from the client, token or not', async () => {
    const parts = {
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }],
    };
    const { authenticator: asked } = authenticator();
    const found = await asked.authenticate(
      [policy([rule(parts)])],
      request('/', { headers: { 'x-sub': 'root', 'x-payload': 'z' } }),
    );
    expect(found).toMatchObject({
      kind: 'ok',
      places: { fields: ['authorization'], isQuery: true },
      changes: { remove: ['x-payload', 'x-sub'], set: [], vouched: ['x-payload', 'x-sub'] },
    });
  });

  test('scopes are a list for policies', async () => {
    const { token: found } = await changes(
      { spaceDelimitedClaims: ['realm.roles'] },
      { ...CLAIMS, scope: 'read  write', realm: { roles: 'a b' }, other: 'c d' },
    );
    expect(found?.claims).toMatchObject({
      scope: ['read', 'write'],
      realm: { roles: ['a', 'b'] },
      other: 'c d',
    });
  });

  test('a refusal says why, and where, without the query', async () => {
    const { authenticator: asked } = authenticator();
    const found = await asked.authenticate(
      [policy([rule()])],
      request('/a"b?access_token=x.y.z', { authority: 'shop:80' }),
    );
    expect(found).toEqual({
      kind: 'refuse',
      status: 401,
      reason: 'Jwt header is an invalid Base64url encoded',
      fields: ['www-authenticate', 'Bearer realm="http://shop:80/ab", error="invalid_token"'],
    });
  });
});

describe('key sets', () => {
  const good = (): Promise<string> => Promise.resolve(jwks('ES256'));
  const remote = { jwks: '', jwksUri: 'https://issuer.example/keys' };

  /** Counts what is fetched; `answers` in turn, the last one for good. */
  function fetching(...answers: readonly (() => Promise<string>)[]) {
    const fetched: string[] = [];
    const fetch: FetchDocument = (url) => {
      const answer = answers[Math.min(fetched.length, answers.length - 1)] ?? good;
      fetched.push(url);
      return answer();
    };
    return { fetched, fetch };
  }

  const failing = () => Promise.reject(new Error('no route to host'));

  test('are fetched once, and then known', async () => {
    const { fetched, fetch } = fetching(good);
    const { authenticator: asked } = authenticator({ fetch });
    const asking = request('/', bearer(await token()));
    const policies = [policy([rule(remote)])];
    const both = await Promise.all([
      asked.authenticate(policies, asking),
      asked.authenticate(policies, asking),
    ]);
    expect(both.map(said)).toEqual([`ok ${ISSUER}/alice`, `ok ${ISSUER}/alice`]);
    expect(fetched).toEqual(['https://issuer.example/keys']);
  });

  test('a token that was verified before is believed at once', async () => {
    const { authenticator: asked } = authenticator({ fetch: good });
    const asking = request('/', bearer(await token()));
    const policies = [policy([rule(remote)])];
    await asked.authenticate(policies, asking);
    expect(asked.authenticate(policies, asking)).not.toBeInstanceOf(Promise);
  });

  test('as many as there is room for, the last that came', async () => {
    const { authenticator: asked } = authenticator();
    const policies = [policy([rule({ jwks: jwks('HS256') })])];
    const padding = 'x'.repeat(MAX_TOKEN_LENGTH / 2);
    const believe = async (count: number) => {
      const words = await token({ ...CLAIMS, count: 1_000 + count, padding }, { alg: 'HS256' });
      const asking = request('/', bearer(words));
      await asked.authenticate(policies, asking);
      return {
        length: words.length,
        isKnown: () => !(asked.authenticate(policies, asking) instanceof Promise),
      };
    };
    const first = await believe(0);
    const second = await believe(1);
    const others = Math.floor(MAX_VERIFIED_LENGTH / first.length) - 1;
    for (let count = 2; count <= others; count++) await believe(count);
    expect(first.isKnown()).toBe(true);
    await believe(others + 1);
    expect([first.isKnown(), second.isKnown()]).toEqual([true, false]);
  });

  test('but not once it has ended', async () => {
    const { authenticator: asked, clock } = authenticator();
    const asking = request('/', bearer(await token()));
    const policies = [policy([rule()])];
    await asked.authenticate(policies, asking);
    await clock.advance(700_000);
    expect(said(await asked.authenticate(policies, asking))).toBe('401 Jwt is expired');
  });

  test('that cannot be reached refuse tokens, say why, and are not asked for at every request', async () => {
    const { fetched, fetch } = fetching(failing);
    const { authenticator: asked, failures, clock } = authenticator({ fetch });
    const policies = [policy([rule(remote)])];
    const asking = request('/', bearer(await token()));
    for (let i = 0; i < 5; i++)
      expect(said(await asked.authenticate(policies, asking))).toBe('401 Jwks remote fetch is failed');
    expect([fetched.length, failures]).toEqual([1, ['https://issuer.example/keys: no route to host']]);
    await clock.advance(1_000);
    await asked.authenticate(policies, asking);
    expect(fetched.length).toBe(2);
    await clock.advance(1_000);
    await asked.authenticate(policies, asking);
    expect(fetched.length).toBe(2);
  });

  test('come back when they can be reached again', async () => {
    const { fetch } = fetching(failing, good);
    const { authenticator: asked, clock } = authenticator({ fetch });
    const policies = [policy([rule(remote)])];
    const asking = request('/', bearer(await token()));
    await asked.authenticate(policies, asking);
    await clock.advance(1_000);
    expect(said(await asked.authenticate(policies, asking))).toBe(`ok ${ISSUER}/alice`);
  });

  test('a key that is not known makes one more fetch, and none for a while then', async () => {
    const { fetched, fetch } = fetching(good, () => Promise.resolve(jwks('ES256', 'RS256')));
    const { authenticator: asked, clock } = authenticator({ fetch });
    const policies = [policy([rule(remote)])];
    await asked.authenticate(policies, request('/', bearer(await token())));
    const rotated = request('/', bearer(await token(CLAIMS, { alg: 'RS256' })));
    expect(said(await asked.authenticate(policies, rotated))).toBe(`ok ${ISSUER}/alice`);
    const unknown = request('/', bearer(await token(CLAIMS, { kid: 'nobody' })));
    for (let i = 0; i < 3; i++) {
      expect(said(await asked.authenticate(policies, unknown))).toBe(
        "401 Jwks doesn't have key to match kid or alg from Jwt",
      );
    }
    expect(fetched.length).toBe(2);
    await clock.advance(30_000);
    await asked.authenticate(policies, unknown);
    expect(fetched.length).toBe(3);
  });

  test('that have grown old are fetched in the background, and a key that went is not believed any more', async () => {
    const { fetched, fetch } = fetching(good, () => Promise.resolve(jwks('RS256')));
    const { authenticator: asked, clock } = authenticator({ fetch });
    const policies = [policy([rule(remote)])];
    const asking = request('/', bearer(await token({ iss: ISSUER, sub: 'alice' })));
    await asked.authenticate(policies, asking);
    await clock.advance(1_200_000);
    expect(said(await asked.authenticate(policies, asking))).toBe(`ok ${ISSUER}/alice`);
    expect(fetched.length).toBe(2);
    await clock.advance(1);
    expect(said(await asked.authenticate(policies, asking))).toBe(
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    );
  });

  test('old ones stay in use while nobody answers', async () => {
    const { fetch } = fetching(good, failing);
    const { authenticator: asked, clock } = authenticator({ fetch });
    const policies = [policy([rule(remote)])];
    const asking = request('/', bearer(await token({ iss: ISSUER, sub: 'alice' })));
    await asked.authenticate(policies, asking);
    await clock.advance(5_000_000);
    expect(said(await asked.authenticate(policies, asking))).toBe(`ok ${ISSUER}/alice`);
    await clock.advance(1);
    expect(said(await asked.authenticate(policies, asking))).toBe(`ok ${ISSUER}/alice`);
  });

  test('are found by OpenID discovery', async () => {
    const { fetched, fetch } = fetching(
      () => Promise.resolve(JSON.stringify({ jwks_uri: 'https://keys.example/k' })),
      good,
    );
    expect(await ask([rule({ jwks: '', issuer: ISSUER })], bearer(await token()), { fetch })).toBe(
      `ok ${ISSUER}/alice`,
    );
    expect(fetched).toEqual([
      'https://issuer.example/.well-known/openid-configuration',
      'https://keys.example/k',
    ]);
  });

  const broken: Record<string, [answer: string, parts?: WaypointFields<JwtRule>]> = {
    'no JSON': ['<html>'],
    'no object': ['[]'],
    'no keys': ['{"keys":[]}'],
    'keys of no kind that we know': ['{"keys":[{"kty":"XYZ"}]}'],
    'keys for encryption': ['{"keys":[{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}]}'],
    'a discovery document without an address': ['{}', { jwks: '', jwksUri: '' }],
    'an address that is none of the web': ['{"jwks_uri":"file:///etc/passwd"}', { jwks: '', jwksUri: '' }],
  };

  test.each(Object.entries(broken))('%s: tokens are refused', async (_, [answer, parts = remote]) => {
    expect(await ask([rule(parts)], bearer(await token()), { fetch: () => Promise.resolve(answer) })).toBe(
      '401 Jwks remote fetch is failed',
    );
  });

  test('written into the rule, and broken: tokens are refused', async () => {
    expect(await ask([rule({ jwks: '{' })], bearer(await token()))).toMatch(/^401 Jwks is an invalid JSON/);
    const malformed = '{"keys":[{"kty":"EC","crv":"P-256","kid":"k-ES256","x":"!","y":"!"}]}';
    expect(await ask([rule({ jwks: malformed })], bearer(await token()))).toBe('401 Jwt verification fails');
  });

  test('an issuer that is no address, without keys: tokens are refused', async () => {
    const email = { iss: 'testing@secure.example', sub: 'a' };
    expect(
      await ask([rule({ issuer: 'testing@secure.example', jwks: '' })], bearer(await token(email))),
    ).toBe('401 Jwks remote fetch is failed');
  });

  test('a key without an id is tried for any', async () => {
    const keys = JSON.stringify({ keys: [{ ...signer('ES256').jwk, kid: undefined, alg: undefined }] });
    expect(await ask([rule({ jwks: keys })], bearer(await token()))).toBe(`ok ${ISSUER}/alice`);
  });
});
