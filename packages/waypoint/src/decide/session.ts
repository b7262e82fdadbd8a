/**
 * Session persistence: a cookie or a header that leads a client back to the endpoint that served it first.
 *
 * The value names the endpoint and when the session began; it is no secret and proves nothing. Somebody who makes one up
 * reaches an endpoint of the same backend that he might have reached anyway, since it is looked up among those.
 */
import type { SessionPersistence } from '../resources/http-route.ts';
import { cookieOf, headerOf, type RequestView } from './request-view.ts';

/** A session as the client tells of it. */
export interface Session {
  /** Of the endpoint in its set: `ip:port`. */
  readonly endpointKey: string;
  /** Milliseconds since 1970. */
  readonly beganMs: number;
}

/** Characters of a value that is looked at: an IPv6 address, a port and two times, and room. */
const MAX_VALUE_LENGTH = 256;

/** The session that a request belongs to; `undefined`: none, or one that is over. @param nowMs - Since 1970. */
export function sessionOf(
  policy: SessionPersistence,
  request: RequestView,
  nowMs: number,
): Session | undefined {
  const value = policy.kind === 'cookie' ? cookieOf(request, policy.name) : headerOf(request, policy.name);
  const parts = value === undefined ? undefined : parse(value);
  if (parts === undefined) return undefined;
  const { endpointKey, beganMs, seenMs } = parts;
  const { absoluteTimeoutMs, idleTimeoutMs } = policy;
  const isOver = (sinceMs: number, limitMs: number | undefined) =>
    limitMs !== undefined && (nowMs - sinceMs >= limitMs || sinceMs > nowMs);
  if (isOver(beganMs, absoluteTimeoutMs) || isOver(seenMs, idleTimeoutMs)) return undefined;
  return { endpointKey, beganMs };
}

/**
 * What the response tells the client to send back, name and value; `undefined` when it knows already.
 *
 * @param endpointKey - Of the endpoint that served the request.
 * @param nowMs - Milliseconds since 1970.
 */
export function sessionField(
  policy: SessionPersistence,
  session: Session | undefined,
  endpointKey: string,
  nowMs: number,
): readonly [name: string, value: string] | undefined {
  const goesOn = session?.endpointKey === endpointKey;
  if (goesOn && policy.idleTimeoutMs === undefined) return undefined;
  const beganMs = goesOn ? session.beganMs : nowMs;
  const value = btoa(`${endpointKey}|${beganMs.toString(36)}|${nowMs.toString(36)}`);
  if (policy.kind === 'header') return [policy.name, value];
  const age = policy.permanentCookie && policy.absoluteTimeoutMs !== undefined;
  const leftMs = age ? beganMs + (policy.absoluteTimeoutMs ?? 0) - nowMs : 0;
  const lifetime = age ? `; Max-Age=${Math.max(0, Math.ceil(leftMs / 1_000))}` : '';
  return [
    'set-cookie',
    `${policy.name}="${value}"; Path=${policy.cookiePath}; HttpOnly; SameSite=Strict${lifetime}`,
  ];
}

function parse(value: string): (Session & { readonly seenMs: number }) | undefined {
  if (value.length > MAX_VALUE_LENGTH || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined;
  let text: string;
  try {
    text = atob(value);
  } catch {
    return undefined;
  }
  const match = /^([0-9a-f.:[\]]+:[0-9]{1,5})\|([0-9a-z]{1,9})\|([0-9a-z]{1,9})$/.exec(text);
  if (!match) return undefined;
  const time = (digits = '') => Number.parseInt(digits, 36);
  return { endpointKey: match[1] ?? '', beganMs: time(match[2]), seenMs: time(match[3]) };
}
