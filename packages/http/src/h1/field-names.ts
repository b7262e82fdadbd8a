/**
 * Field names that are known: read without making a string, and some with a meaning to the codec.
 *
 * A name is looked up by a hash of its lower-case octets and then compared octet by octet, so a hash that somebody
 * makes collide costs a string and nothing else.
 */
import { TOKEN } from './octets.ts';

/** What the codec does with a field. */
export const ROLE = {
  plain: 0,
  contentLength: 1,
  transferEncoding: 2,
  host: 3,
  connection: 4,
  upgrade: 5,
  expect: 6,
  te: 7,
  /** Of this connection alone: never passed on. */
  dropped: 8,
  /** Framing to whoever takes an underscore for a hyphen: refused. */
  lookalike: 9,
} as const;

export type Role = (typeof ROLE)[keyof typeof ROLE];

export interface KnownName {
  readonly name: string;
  readonly role: Role;
}

const ROLES: ReadonlyMap<string, Role> = new Map([
  ['content-length', ROLE.contentLength],
  ['transfer-encoding', ROLE.transferEncoding],
  ['host', ROLE.host],
  ['connection', ROLE.connection],
  ['upgrade', ROLE.upgrade],
  ['expect', ROLE.expect],
  ['te', ROLE.te],
  ['keep-alive', ROLE.dropped],
  ['proxy-connection', ROLE.dropped],
  ['http2-settings', ROLE.dropped],
  ['content_length', ROLE.lookalike],
  ['transfer_encoding', ROLE.lookalike],
]);

const COMMON =
  'accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials ' +
  'access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-expose-headers ' +
  'access-control-max-age access-control-request-headers access-control-request-method age allow alt-svc authorization ' +
  'b3 baggage cache-control content-disposition content-encoding content-language content-location content-range ' +
  'content-security-policy content-type cookie date dnt etag expires forwarded from grpc-accept-encoding grpc-encoding ' +
  'grpc-message grpc-status grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since ' +
  'last-modified link location max-forwards origin pragma priority proxy-authenticate proxy-authorization range referer ' +
  'referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode ' +
  'sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions sec-websocket-key ' +
  'sec-websocket-protocol sec-websocket-version server server-timing set-cookie strict-transport-security traceparent ' +
  'tracestate trailer upgrade-insecure-requests user-agent vary via warning www-authenticate x-content-type-options ' +
  'x-envoy-attempt-count x-envoy-expected-rq-timeout-ms x-envoy-upstream-service-time x-forwarded-client-cert ' +
  'x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-frame-options x-powered-by x-real-ip x-request-id';

const SLOTS = 1024;
const MULTIPLIER = 31;

/** One more octet, in lower case, of a name's hash; begin with 0. */
export function hashOctet(hash: number, octet: number): number {
  return (Math.imul(hash, MULTIPLIER) + octet) & 0x7fff_ffff;
}

const table = new Array<KnownName | undefined>(SLOTS).fill(undefined);
for (const name of [...ROLES.keys(), ...COMMON.split(' ')]) {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = hashOctet(hash, name.charCodeAt(i));
  let slot = hash % SLOTS;
  while (table[slot]) slot = (slot + 1) % SLOTS;
  table[slot] = { name, role: ROLES.get(name) ?? ROLE.plain };
}

/** The known name that `bytes[from..to)` is in any case. */
export function knownName(bytes: Buffer, from: number, to: number, hash: number): KnownName | undefined {
  for (let slot = hash % SLOTS; ; slot = (slot + 1) % SLOTS) {
    const candidate = table[slot];
    if (!candidate || isName(candidate.name, bytes, from, to)) return candidate;
  }
}

function isName(name: string, bytes: Buffer, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let i = 0; i < name.length; i++) {
    if (name.charCodeAt(i) !== TOKEN[bytes[from + i] ?? 0]) return false;
  }
  return true;
}
