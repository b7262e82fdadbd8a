import { generateKeyPairSync } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import type { CertificateAuthority } from './certificate-authority.ts';
import { createRequest } from './certificate-request.ts';
import { createFakeCa } from './fake-ca.ts';
import { generateKeys } from './keys.ts';
import { advance, announce } from './root-rotation.ts';
import { createSelfSignedCa } from './self-signed-ca.ts';
import { type HandshakeOutcome, handshake } from './testing/handshake.ts';
import {
  clientTlsOptions,
  DEFAULT_TLS_SETTINGS,
  handshakeProblem,
  type MeshTlsOptions,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from './tls-context.ts';
import { type WorkloadCertificate, workloadCertificate } from './workload-certificate.ts';
import { createLeaf, type LeafOptions } from './x509.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const BOB = 'spiffe://td/ns/shop/sa/bob';
const HOUR_MS = 3_600_000;

let ca: CertificateAuthority;
let alice: WorkloadCertificate;
let bob: WorkloadCertificate;

beforeAll(async () => {
  ca = await createSelfSignedCa({ clock: systemClock });
  alice = await ca.issueWorkload(ALICE);
  bob = await ca.issueWorkload(BOB);
});

interface Over {
  readonly client?: WorkloadCertificate;
  readonly server?: WorkloadCertificate;
  readonly clientOptions?: Partial<MeshTlsOptions> & Record<string, unknown>;
  readonly serverOptions?: Partial<MeshTlsOptions> & Record<string, unknown>;
  readonly expected?: readonly string[];
}

/** Alice connects to Bob, but for what `over` says. */
function meet(over: Over = {}): Promise<HandshakeOutcome> {
  return handshake({
    server: { ...serverTlsOptions(over.server ?? bob), ...over.serverOptions },
    client: { ...clientTlsOptions(over.client ?? alice), ...over.clientOptions },
    verifyClient: (socket) => verifyClientPeer(socket, ['td']),
    verifyServer: (socket) => verifyServerPeer(socket, over.expected ?? [BOB]),
  });
}

/** A certificate of this mesh's CA that breaks a rule. */
async function odd(over: Partial<LeafOptions>, identity = ALICE): Promise<WorkloadCertificate> {
  const keys = await generateKeys();
  const now = systemClock.now();
  const leaf = await createLeaf(
    {
      names: { uris: [identity] },
      publicKey: keys.publicKey,
      notBeforeMs: now - HOUR_MS,
      notAfterMs: now + HOUR_MS,
      ...over,
    },
    ca.material.signer,
  );
  return workloadCertificate(identity, keys.privateKey, [leaf, ca.material.rootsPem.join('')]);
}

const at = (ms: number): Clock => ({ ...systemClock, now: () => ms });

describe('two workloads of one mesh', () => {
  test('know each other, over TLS 1.3 with AES-128-GCM', async () => {
    expect(await meet()).toMatchObject({
      server: ALICE,
      client: BOB,
      cipher: 'TLS_AES_128_GCM_SHA256',
      group: 'X25519',
    });
  });

  test('the server is one of several expected', async () => {
    expect((await meet({ expected: [ALICE, BOB] })).client).toBe(BOB);
  });

  test('an intermediate signs, and only the root is known', async () => {
    const below = await createSelfSignedCa({ clock: systemClock, intermediate: true });
    const client = await below.issueWorkload(ALICE);
    const server = await below.issueWorkload(BOB);
    expect(client.chainPem).toHaveLength(2);
    expect(client.rootsPem).toHaveLength(1);
    expect(await meet({ client, server })).toMatchObject({ server: ALICE, client: BOB });
  });

  test('while a root is rotated, certificates of the old and the new one work together', async () => {
    const rotating = await createSelfSignedCa({ clock: systemClock });
    const announced = await announce(
      { material: rotating.material, phase: { kind: 'steady' } },
      {},
      systemClock,
    );
    const rotated = advance(announced, systemClock.now());
    const neverTold = await rotating.issueWorkload(ALICE);
    rotating.use(announced.material);
    const old = await rotating.issueWorkload(ALICE);
    rotating.use(rotated.material);
    const fresh = await rotating.issueWorkload(BOB);
    expect(await meet({ client: old, server: fresh })).toMatchObject({ server: ALICE, client: BOB });
    const reversed = await meet({ client: fresh, server: old, expected: [ALICE] });
    expect(reversed).toMatchObject({ server: BOB, client: ALICE });
    expect((await meet({ client: neverTold, server: fresh })).client).toContain(
      'not signed by a root of this mesh',
    );
  });

  test('two fake CAs of two processes trust each other', async () => {
    const one = await createFakeCa({ clock: systemClock });
    const two = await createFakeCa({ clock: systemClock });
    const client = await one.issueWorkload(ALICE);
    const server = await two.issueWorkload(BOB);
    expect(await meet({ client, server })).toMatchObject({ server: ALICE, client: BOB });
  });

  test('share one context per certificate', () => {
    const { secureContext } = serverTlsOptions(bob);
    expect(serverTlsOptions(bob).secureContext).toBe(secureContext);
    expect(clientTlsOptions(bob).secureContext).toBe(secureContext);
    expect(serverTlsOptions({ ...bob }).secureContext).not.toBe(secureContext);
  });

  test('verify each time: a session that a client kept is not resumed', async () => {
    const { session } = await meet();
    expect(session?.length).toBeGreaterThan(0);
    const again = await meet({ clientOptions: { session } });
    expect(again).toMatchObject({ server: ALICE, client: BOB, resumed: false });
  });
});

describe('the server refuses a client', () => {
  test('without a certificate', async () => {
    const secureContext = createSecureContext({ ca: [...bob.rootsPem] });
    const { server } = await meet({ clientOptions: { secureContext } });
    expect(server).toContain('peer presented no certificate');
  });

  test('of another trust domain', async () => {
    const client = await ca.issueWorkload('spiffe://elsewhere/ns/shop/sa/alice');
    expect((await meet({ client })).server).toBe(
      'identity verification error: peer did not present the expected trust domain td, got spiffe://elsewhere/ns/shop/sa/alice',
    );
  });

  test('whose certificate has expired', async () => {
    const now = systemClock.now();
    const client = await odd({ notBeforeMs: now - 2 * HOUR_MS, notAfterMs: now - HOUR_MS });
    expect((await meet({ client })).server).toBe('peer certificate has expired (CERT_HAS_EXPIRED)');
  });

  test('whose certificate is not valid yet', async () => {
    const now = systemClock.now();
    const client = await odd({ notBeforeMs: now + HOUR_MS, notAfterMs: now + 2 * HOUR_MS });
    expect((await meet({ client })).server).toBe('peer certificate is not valid yet (CERT_NOT_YET_VALID)');
  });

  test('whose certificate is for servers alone', async () => {
    const client = await odd({ usages: ['serverAuth'] });
    expect((await meet({ client })).server).toContain('may not be used at this end');
  });

  test('whose root is another', async () => {
    const other = await createSelfSignedCa({ clock: systemClock });
    const stranger = await other.issueWorkload(ALICE);
    const { server } = await meet({ client: { ...stranger, rootsPem: bob.rootsPem } });
    expect(server).toContain('peer certificate is not signed by a root of this mesh');
  });

  test('whose certificate has no SPIFFE name', async () => {
    const client = await odd({ names: { uris: ['https://td/ns/shop/sa/alice'], dnsNames: ['alice'] } });
    expect((await meet({ client })).server).toBe(
      'identity verification error: peer did not present the expected trust domain td, got no SPIFFE identity',
    );
  });

  test('that is its own CA', async () => {
    const { certificatePem, privateKey } = (await createSelfSignedCa({ clock: systemClock })).material.signer;
    const client = { ...alice, chainPem: [certificatePem], privateKey };
    expect((await meet({ client })).server).toContain('INVALID_PURPOSE');
  });

  test('that speaks another protocol', async () => {
    const { server } = await meet({ clientOptions: { ALPNProtocols: ['http/1.1'] } });
    expect(server).toContain('peer does not speak HTTP/2 (ALPN protocol h2)');
  });

  test('that names no protocol', async () => {
    const { server } = await meet({ clientOptions: { ALPNProtocols: [] } });
    expect(server).toBe('peer did not negotiate HTTP/2 (ALPN protocol h2)');
  });

  test('that speaks TLS 1.2 at most', async () => {
    const secureContext = createSecureContext({
      ca: [...bob.rootsPem],
      cert: alice.chainPem.join(''),
      key: alice.privateKey.export({ format: 'pem', type: 'pkcs8' }),
      maxVersion: 'TLSv1.2',
    });
    const { server } = await meet({ clientOptions: { secureContext } });
    expect(server).toContain('peer speaks no TLS version that is accepted here');
  });
});

describe('the client refuses a server', () => {
  test('that is somebody else', async () => {
    expect((await meet({ expected: [ALICE, 'spiffe://td/ns/shop/sa/carol'] })).client).toBe(
      `identity verification error: expected ${ALICE} or spiffe://td/ns/shop/sa/carol, got ${BOB}`,
    );
  });

  test('when nobody is expected', async () => {
    expect((await meet({ expected: [] })).client).toContain('got spiffe://td/ns/shop/sa/bob');
  });

  test('whose certificate has expired', async () => {
    const now = systemClock.now();
    const server = await odd({ notBeforeMs: now - 2 * HOUR_MS, notAfterMs: now - HOUR_MS }, BOB);
    expect((await meet({ server })).client).toBe('peer certificate has expired (CERT_HAS_EXPIRED)');
  });

  test('whose root is another', async () => {
    const other = await createSelfSignedCa({ clock: systemClock });
    const server = await other.issueWorkload(BOB);
    expect((await meet({ server })).client).toContain(
      'peer certificate is not signed by a root of this mesh',
    );
  });

  test('whose certificate is for clients alone', async () => {
    const server = await odd({ usages: ['clientAuth'] }, BOB);
    expect((await meet({ server })).client).toContain('may not be used at this end');
  });
});

describe('words for a failed handshake', () => {
  const cases: Record<string, [error: unknown, words: string]> = {
    'an alert under an old name': [
      { code: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED' },
      'our certificate has expired',
    ],
    'the same under a new name': [
      { code: 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED' },
      'our certificate has expired',
    ],
    'what Istio answers to another trust domain': [
      { code: 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN' },
      'does not accept our certificate',
    ],
    'something of OpenSSL that has no words here': [
      Object.assign(new Error('40C3:error:0A:SSL routines:x:y:../deps/z.c:918:'), {
        code: 'ERR_SSL_UNEXPECTED_MESSAGE',
        reason: 'unexpected message',
      }),
      'unexpected message',
    ],
    'something of the network': [
      Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
      'read ECONNRESET',
    ],
  };
  test.each(Object.entries(cases))('%s', (_, [error, words]) => {
    expect(handshakeProblem(error)).toContain(words);
    expect(handshakeProblem(error)).not.toContain('../deps');
  });
});

describe('settings', () => {
  test('TLS 1.2 where it is allowed', async () => {
    const settings = { ...DEFAULT_TLS_SETTINGS, tls12: true };
    const secureContext = createSecureContext({
      ca: [...bob.rootsPem],
      cert: alice.chainPem.join(''),
      key: alice.privateKey.export({ format: 'pem', type: 'pkcs8' }),
      maxVersion: 'TLSv1.2',
    });
    const outcome = await meet({
      serverOptions: { ...serverTlsOptions(bob, settings) },
      clientOptions: { secureContext },
    });
    expect(outcome).toMatchObject({ server: ALICE, client: BOB, cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
  });

  test('post-quantum key exchange is used when one end insists', async () => {
    const settings = { ...DEFAULT_TLS_SETTINGS, postQuantumOnly: true };
    const outcome = await meet({ serverOptions: { ...serverTlsOptions(bob, settings) } });
    expect(outcome).toMatchObject({ server: ALICE, client: BOB });
  });

  test('post-quantum alone refuses who cannot', async () => {
    const settings = { ...DEFAULT_TLS_SETTINGS, postQuantumOnly: true };
    const secureContext = createSecureContext({
      ca: [...bob.rootsPem],
      cert: alice.chainPem.join(''),
      key: alice.privateKey.export({ format: 'pem', type: 'pkcs8' }),
      ecdhCurve: 'X25519',
    });
    const outcome = await meet({
      serverOptions: { ...serverTlsOptions(bob, settings) },
      clientOptions: { secureContext },
    });
    expect(outcome.server).toContain('peer offers no key exchange that is accepted here');
  });

  test('AES-256 where it is preferred', async () => {
    const settings = { ...DEFAULT_TLS_SETTINGS, preferredCipher: 'aes-256' as const };
    const outcome = await meet({ serverOptions: { ...serverTlsOptions(bob, settings) } });
    expect(outcome.cipher).toBe('TLS_AES_256_GCM_SHA384');
  });
});

describe('the authority', () => {
  test('answers a request with leaf and roots, and only its key counts', async () => {
    const keys = await generateKeys();
    const csrPem = createRequest('spiffe://td/ns/kube-system/sa/root', keys);
    const answer = await ca.issue({ csrPem, identities: [ALICE], ttlMs: HOUR_MS });
    expect(answer).toHaveLength(2);
    const certificate = workloadCertificate(ALICE, keys.privateKey, answer);
    expect(certificate.notAfterMs - certificate.notBeforeMs).toBe(HOUR_MS + 120_000);
    expect(await meet({ client: certificate })).toMatchObject({ server: ALICE, client: BOB });
  });

  const requests: Record<string, [ttlMs: number, identities: string[], problem: string]> = {
    'a lifetime beyond the limit': [91 * 24 * HOUR_MS, [ALICE], 'requested TTL of 7862400 s is longer'],
    'an identity that is none': [HOUR_MS, ['spiffe://td/ns/shop'], 'not a SPIFFE identity'],
    'no identity': [HOUR_MS, [], 'not a SPIFFE identity'],
  };
  test.each(Object.entries(requests))('refuses %s', async (_, [ttlMs, identities, problem]) => {
    const csrPem = createRequest(ALICE, await generateKeys());
    await expect(ca.issue({ csrPem, identities, ttlMs })).rejects.toThrow(problem);
  });

  test('refuses a request whose signature was tampered with', async () => {
    const csr = createRequest(ALICE, await generateKeys());
    const bytes = Buffer.from(csr.split('\n').slice(1, -2).join(''), 'base64');
    const last = bytes.length - 1;
    bytes[last] = (bytes[last] ?? 0) ^ 1;
    const csrPem = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    await expect(ca.issue({ csrPem, identities: [ALICE], ttlMs: 0 })).rejects.toThrow('signature');
  });

  test.each(['', 'hello', '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----'])(
    'refuses %j as request',
    async (csrPem) => {
      await expect(ca.issue({ csrPem, identities: [ALICE], ttlMs: 0 })).rejects.toMatchObject({
        code: 'CERTIFICATE',
      });
    },
  );

  test('a leaf does not outlive its CA, and an expired CA signs nothing', async () => {
    const now = systemClock.now();
    const short = await createSelfSignedCa({ clock: systemClock, lifetimeMs: HOUR_MS });
    const { notAfterMs } = await short.issueWorkload(ALICE);
    expect(notAfterMs).toBeLessThanOrEqual(now + HOUR_MS + 10_000);
    const expired = await createSelfSignedCa({ clock: at(now - 2 * HOUR_MS), lifetimeMs: HOUR_MS });
    const late = await createSelfSignedCa({ clock: systemClock });
    late.use(expired.material);
    await expect(late.issueWorkload(ALICE)).rejects.toThrow(
      'the CA certificate, or one above it, has expired',
    );
  });

  test('an RSA key asks as well, a short one does not', async () => {
    const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });
    const csrPem = createRequest(ALICE, rsa(2_048));
    await expect(ca.issue({ csrPem, identities: [ALICE], ttlMs: 0 })).resolves.toHaveLength(2);
    const weak = createRequest(ALICE, rsa(1_024));
    await expect(ca.issue({ csrPem: weak, identities: [ALICE], ttlMs: 0 })).rejects.toThrow(
      'RSA key of 1024 bits',
    );
  });
});
