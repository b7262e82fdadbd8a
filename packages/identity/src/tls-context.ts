/**
 * Mesh TLS: what node:tls is told, and who the peer turned out to be.
 *
 * OpenSSL checks the chain, the dates and the usage; nobody's DNS name is looked at. Who the peer is then follows from
 * its certificate's SPIFFE names, which `verifyServerPeer` and `verifyClientPeer` read. A connection must not carry a
 * byte of a workload before one of the two said `ok`: a `TLSSocket` made by hand on the server's side reports
 * a failed verification to nobody.
 */
import { constants, type X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { codeOf, messageOf } from '@ambit/core/errors';
import { spiffeIdentities } from './alternative-names.ts';
import { MAX_CHAIN_CERTIFICATES } from './limits.ts';
import { parseSpiffeId } from './spiffe-id.ts';
import type { WorkloadCertificate } from './workload-certificate.ts';

export interface TlsSettings {
  /** `TLS12_ENABLED`: accept TLS 1.2 beside 1.3. */
  readonly tls12: boolean;
  /** `COMPLIANCE_POLICY=pqc`: no key exchange but the post-quantum hybrid X25519MLKEM768. */
  readonly postQuantumOnly: boolean;
  /** Which AES-GCM is tried first; both are accepted. */
  readonly preferredCipher: 'aes-128' | 'aes-256';
}

export const DEFAULT_TLS_SETTINGS: TlsSettings = {
  tls12: false,
  postQuantumOnly: false,
  preferredCipher: 'aes-128',
};

/** For `new TLSSocket(socket, {isServer: true, ...options})` and `tls.connect({socket, ...options})`. */
export interface MeshTlsOptions {
  readonly secureContext: SecureContext;
  readonly ALPNProtocols: string[];
  readonly requestCert: true;
  readonly rejectUnauthorized: true;
}

export interface MeshTlsClientOptions extends MeshTlsOptions {
  readonly checkServerIdentity: () => undefined;
}

/** Who the peer is; or why it is nobody we talk to, in words that name the cause. */
export type PeerVerdict =
  | { readonly ok: true; readonly identity: string; readonly chain: readonly X509Certificate[] }
  | { readonly ok: false; readonly reason: string };

/** Tells of a chain, leaf first, whether a certificate in it was revoked; the reason, or `undefined`. */
export type RevocationCheck = (chain: readonly X509Certificate[]) => string | undefined;

/** Options for the end that accepts. The context is made once per certificate and settings. */
export function serverTlsOptions(
  certificate: WorkloadCertificate,
  settings: TlsSettings = DEFAULT_TLS_SETTINGS,
): MeshTlsOptions {
  return {
    secureContext: contextOf(certificate, settings),
    ALPNProtocols: ['h2'],
    requestCert: true,
    rejectUnauthorized: true,
  };
}

/** Options for the end that connects. No server name is sent, and none is checked. */
export function clientTlsOptions(
  certificate: WorkloadCertificate,
  settings: TlsSettings = DEFAULT_TLS_SETTINGS,
): MeshTlsClientOptions {
  return { ...serverTlsOptions(certificate, settings), checkServerIdentity: () => undefined };
}

/**
 * After the handshake, on the connecting end: the server must be one of `expected`.
 *
 * @param expected - SPIFFE IDs, compared exactly. Empty means that nobody is expected, never "anyone".
 */
export function verifyServerPeer(
  socket: TLSSocket,
  expected: readonly string[],
  revoked?: RevocationCheck,
): PeerVerdict {
  return verifyPeer(socket, revoked, (identities) =>
    identities.some((identity) => expected.includes(identity))
      ? undefined
      : `expected ${list(expected)}, got ${list(identities)}`,
  );
}

/**
 * After the handshake, on the accepting end: the client must be of one of the trust domains, in any namespace.
 *
 * @param trustDomains - Empty means that nobody is let in, never "anyone".
 */
export function verifyClientPeer(
  socket: TLSSocket,
  trustDomains: readonly string[],
  revoked?: RevocationCheck,
): PeerVerdict {
  return verifyPeer(socket, revoked, (identities) =>
    identities.some((identity) => trustDomains.includes(parseSpiffeId(identity)?.trustDomain ?? NO_DOMAIN))
      ? undefined
      : `peer did not present the expected trust domain ${trustDomains.join(' or ')}, got ${list(identities)}`,
  );
}

/** No trust domain is called this. */
const NO_DOMAIN = ' ';

/** Why a handshake failed, from the error of the socket, in words that name the cause. */
export function handshakeProblem(error: unknown): string {
  const code = codeOf(error) ?? '';
  const [, alert = ''] = ALERT.exec(code) ?? [];
  const words = CHAIN_PROBLEMS[code] ?? HANDSHAKE_PROBLEMS[code] ?? ALERTS[alert];
  return words === undefined ? openSslReason(error) : `${words} (${code})`;
}

/** OpenSSL's own words without its file names and line numbers; anybody else's message as it is. */
function openSslReason(error: unknown): string {
  const isOpenSsl = typeof error === 'object' && error !== null && 'reason' in error;
  return isOpenSsl && typeof error.reason === 'string' ? error.reason : messageOf(error);
}

function verifyPeer(
  socket: TLSSocket,
  revoked: RevocationCheck | undefined,
  problemWith: (identities: readonly string[]) => string | undefined,
): PeerVerdict {
  const leaf = socket.getPeerX509Certificate();
  if (!leaf) return { ok: false, reason: 'peer presented no certificate' };
  const chainProblem = verificationProblem(socket);
  if (chainProblem !== undefined) return { ok: false, reason: chainProblem };
  if (socket.alpnProtocol !== 'h2')
    return { ok: false, reason: 'peer did not negotiate HTTP/2 (ALPN protocol h2)' };
  const identities = spiffeIdentities(leaf.raw);
  const problem = problemWith(identities);
  const [identity] = identities;
  if (problem !== undefined || identity === undefined)
    return { ok: false, reason: `identity verification error: ${problem ?? 'no SPIFFE identity'}` };
  const chain = chainOf(leaf);
  const revocation = revoked?.(chain);
  return revocation === undefined ? { ok: true, identity, chain } : { ok: false, reason: revocation };
}

/**
 * What OpenSSL made of the peer's chain: `undefined` if it is good.
 *
 * `authorized` is set by `tls.connect` and `tls.Server` alone; on a socket made by hand the handle is asked. If
 * neither answers, the peer counts as not verified.
 */
function verificationProblem(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  if (socket.authorizationError) return chainProblem(socket.authorizationError);
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  if (typeof handle !== 'object' || handle === null || !('verifyError' in handle)) return NOT_VERIFIED;
  const { verifyError } = handle;
  if (typeof verifyError !== 'function') return NOT_VERIFIED;
  const error: unknown = verifyError.call(handle);
  return error === null ? undefined : chainProblem(error);
}

const NOT_VERIFIED = 'peer certificate could not be verified: the connection is gone';

function chainProblem(error: unknown): string {
  const code = typeof error === 'string' ? error : codeOf(error);
  const words = CHAIN_PROBLEMS[code ?? ''] ?? 'peer certificate does not verify';
  return `${words} (${code ?? messageOf(error)})`;
}

const UNKNOWN_ROOT = 'peer certificate is not signed by a root of this mesh';
const CHAIN_PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'peer certificate has expired',
  CERT_NOT_YET_VALID: 'peer certificate is not valid yet',
  INVALID_PURPOSE: 'peer certificate may not be used at this end of a connection',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_ROOT,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ROOT,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ROOT,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ROOT,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ROOT,
  CERT_SIGNATURE_FAILURE: 'the signature of the peer certificate is wrong',
};
const HANDSHAKE_PROBLEMS: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'peer presented no certificate',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'peer does not speak HTTP/2 (ALPN protocol h2)',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'peer speaks no TLS version that is accepted here',
  ERR_SSL_NO_SUITABLE_KEY_SHARE: 'peer offers no key exchange that is accepted here',
  ERR_SSL_WRONG_VERSION_NUMBER: 'peer does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'peer sent plain HTTP instead of TLS',
};

/** What the peer told us before it hung up. The version in front of an alert's name is that of its first appearance. */
const ALERT = /^ERR_SSL_(?:SSL\/TLS|SSLV3|TLSV1|TLSV13)_ALERT_(\w+)$/;
const ALERTS: Readonly<Record<string, string>> = {
  NO_APPLICATION_PROTOCOL: 'peer does not accept HTTP/2 (ALPN protocol h2)',
  CERTIFICATE_REQUIRED: 'peer wants a client certificate and got none',
  UNKNOWN_CA: 'peer does not trust the root of our certificate',
  CERTIFICATE_EXPIRED: 'peer says that our certificate has expired',
  CERTIFICATE_REVOKED: 'peer says that our certificate was revoked',
  CERTIFICATE_UNKNOWN:
    'peer does not accept our certificate: another trust domain, or no identity it expects',
  BAD_CERTIFICATE: 'peer does not accept our certificate',
  UNSUPPORTED_CERTIFICATE: 'peer does not accept our kind of certificate',
  DECRYPT_ERROR:
    'peer could not verify the signature of our certificate: it may trust another root of that name',
  PROTOCOL_VERSION: 'peer accepts none of our TLS versions',
  HANDSHAKE_FAILURE: 'peer accepts none of our ciphers or key exchanges',
};

function chainOf(leaf: X509Certificate): readonly X509Certificate[] {
  const chain = [leaf];
  let next = leaf.issuerCertificate;
  while (
    next &&
    chain.length < MAX_CHAIN_CERTIFICATES &&
    next.fingerprint256 !== chain.at(-1)?.fingerprint256
  ) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

function list(identities: readonly string[]): string {
  return identities.length === 0 ? 'no SPIFFE identity' : identities.join(' or ');
}

const contexts = new WeakMap<WorkloadCertificate, WeakMap<TlsSettings, SecureContext>>();

function contextOf(certificate: WorkloadCertificate, settings: TlsSettings): SecureContext {
  const bySettings = contexts.get(certificate) ?? new WeakMap<TlsSettings, SecureContext>();
  contexts.set(certificate, bySettings);
  const known = bySettings.get(settings);
  if (known) return known;
  const made = createContext(certificate, settings);
  bySettings.set(settings, made);
  return made;
}

const SUITES = {
  'aes-128': ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'],
  'aes-256': ['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256'],
} as const;
const TLS12_SUITES = ['ECDHE-ECDSA', 'ECDHE-RSA'].flatMap((exchange) => [
  `${exchange}-AES128-GCM-SHA256`,
  `${exchange}-AES256-GCM-SHA384`,
]);

/** The first group is the one a client sends a key share for: cheap, and accepted by everybody. */
const GROUPS = 'X25519:P-256:P-384:X25519MLKEM768';
const POST_QUANTUM_GROUP = 'X25519MLKEM768';

function createContext(certificate: WorkloadCertificate, settings: TlsSettings): SecureContext {
  return createSecureContext({
    cert: certificate.chainPem.join(''),
    key: certificate.privateKey.export({ format: 'pem', type: 'pkcs8' }),
    ca: [...certificate.rootsPem],
    allowPartialTrustChain: true,
    minVersion: settings.tls12 ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: [...SUITES[settings.preferredCipher], ...(settings.tls12 ? TLS12_SUITES : [])].join(':'),
    honorCipherOrder: true,
    ecdhCurve: settings.postQuantumOnly ? POST_QUANTUM_GROUP : GROUPS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
}
