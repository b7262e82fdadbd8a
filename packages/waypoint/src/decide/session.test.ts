import { describe, expect, test } from '@jest/globals';
import type { SessionPersistence } from '../resources/http-route.ts';
import { type Session, sessionField, sessionOf } from './session.ts';
import { request } from './testing/requests.ts';

const COOKIE: SessionPersistence = {
  name: 'sess',
  kind: 'cookie',
  absoluteTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  permanentCookie: false,
  cookiePath: '/',
};
const HEADER: SessionPersistence = { ...COOKIE, name: 'x-session', kind: 'header' };
const BEGAN_MS = 1_700_000_000_000;

/** What a client that got a session field sends, and what we read from that at another time. */
function returned(policy: SessionPersistence, endpointKey: string, nowMs: number): Session | undefined {
  const field = sessionField(policy, undefined, endpointKey, BEGAN_MS);
  const value = field?.[1].split(';')[0] ?? '';
  const headers = policy.kind === 'cookie' ? { cookie: `a=b; ${value}` } : { 'x-session': field?.[1] ?? '' };
  return sessionOf(policy, request('/', { headers: headers as Record<string, string> }), nowMs);
}

describe('session persistence', () => {
  test.each(['10.0.0.1:8080', '[fd00::1]:80'])('leads back to %s, by cookie and by header', (key) => {
    expect(returned(COOKIE, key, BEGAN_MS)).toEqual({ endpointKey: key, beganMs: BEGAN_MS });
    expect(returned(HEADER, key, BEGAN_MS)).toEqual({ endpointKey: key, beganMs: BEGAN_MS });
  });

  test('is over at the absolute timeout', () => {
    const policy = { ...COOKIE, absoluteTimeoutMs: 1_000 };
    expect(returned(policy, '10.0.0.1:80', BEGAN_MS + 999)).toBeDefined();
    expect(returned(policy, '10.0.0.1:80', BEGAN_MS + 1_000)).toBeUndefined();
  });

  test('is over at the idle timeout, which each response moves on', () => {
    const policy = { ...HEADER, idleTimeoutMs: 1_000 };
    expect(returned(policy, '10.0.0.1:80', BEGAN_MS + 1_000)).toBeUndefined();
    const session = { endpointKey: '10.0.0.1:80', beganMs: BEGAN_MS };
    const [, value] = sessionField(policy, session, '10.0.0.1:80', BEGAN_MS + 900) ?? ['', ''];
    const asked = request('/', { headers: { 'x-session': value } });
    expect(sessionOf(policy, asked, BEGAN_MS + 1_800)).toEqual(session);
  });

  test('one from the future is none', () => {
    expect(returned({ ...COOKIE, absoluteTimeoutMs: 1_000 }, '10.0.0.1:80', BEGAN_MS - 1)).toBeUndefined();
  });

  test('a client that knows is not told again; another endpoint is told', () => {
    const session = { endpointKey: '10.0.0.1:80', beganMs: BEGAN_MS };
    expect(sessionField(COOKIE, session, '10.0.0.1:80', BEGAN_MS)).toBeUndefined();
    expect(sessionField(COOKIE, session, '10.0.0.2:80', BEGAN_MS)).toBeDefined();
  });

  test('a permanent cookie lives until the absolute timeout', () => {
    const policy = { ...COOKIE, permanentCookie: true, absoluteTimeoutMs: 60_000 };
    expect(sessionField(policy, undefined, '10.0.0.1:80', BEGAN_MS)?.[1]).toMatch(
      /^sess="[^"]+"; Path=\/; HttpOnly; SameSite=Strict; Max-Age=60$/,
    );
    expect(sessionField(COOKIE, undefined, '10.0.0.1:80', BEGAN_MS)?.[1]).toMatch(
      /^sess="[^"]+"; Path=\/; HttpOnly; SameSite=Strict$/,
    );
  });

  test('a cookie is for the path that the policy says', () => {
    const policy = { ...COOKIE, cookiePath: '/shop' };
    expect(sessionField(policy, undefined, '10.0.0.1:80', BEGAN_MS)?.[1]).toMatch(
      /^sess="[^"]+"; Path=\/shop; HttpOnly; SameSite=Strict$/,
    );
  });

  test('anything else is no session, over 20 000 mutations', () => {
    const good = sessionField(HEADER, undefined, '10.0.0.1:8080', BEGAN_MS)?.[1] ?? '';
    let state = 3;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % count;
    };
    const kinds = { session: 0, none: 0 };
    for (let i = 0; i < 20_000; i++) {
      const chars = good.split('');
      for (let edits = 1 + below(3); edits > 0; edits--)
        chars[below(chars.length)] = String.fromCharCode(below(256));
      const value = chars.join('').slice(0, below(4) === 0 ? below(good.length) : good.length);
      const found = sessionOf(HEADER, request('/', { headers: { 'x-session': value } }), BEGAN_MS);
      if (found && !/^[0-9a-f.:[\]]+:\d+$/.test(found.endpointKey)) throw new Error(`took ${value}`);
      kinds[found ? 'session' : 'none'] += 1;
    }
    expect(kinds.none).toBeGreaterThan(1_000);
    expect(kinds.session).toBeGreaterThan(10);
  });
});
