import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { type AuthorityMaterial, CertificateAuthority } from './certificate-authority.ts';
import { generateKeys } from './keys.ts';
import { type CaFiles, caSecretFiles, materialOf, readCaFolder, watchCaFolder } from './plugged-in-ca.ts';
import { createIntermediate, createSelfSignedMaterial, isRenewalDue, renewRoot } from './self-signed-ca.ts';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { handshake } from './testing/handshake.ts';
import { clientTlsOptions, serverTlsOptions, verifyClientPeer, verifyServerPeer } from './tls-context.ts';
import type { WorkloadCertificate } from './workload-certificate.ts';
import { createAuthority, createLeaf, type KeyPair, type Signer } from './x509.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const DAY_MS = 86_400_000;
const now = systemClock.now();
const validity = { notBeforeMs: now - DAY_MS, notAfterMs: now + 100 * DAY_MS };
const pem = (key: { export(options: { format: 'pem'; type: 'pkcs8' }): string | Buffer }) =>
  key.export({ format: 'pem', type: 'pkcs8' }).toString();

let root: AuthorityMaterial;
let upper: AuthorityMaterial;
let lower: AuthorityMaterial;

/** root → upper → lower, which signs workloads. */
beforeAll(async () => {
  root = await createSelfSignedMaterial({ organization: 'root' }, systemClock);
  upper = await createIntermediate(root.signer, 'upper', validity);
  lower = await createIntermediate(upper.signer, 'lower', validity);
});

function cacerts(over: CaFiles = {}): CaFiles {
  return {
    'ca-cert.pem': lower.signer.certificatePem,
    'ca-key.pem': pem(lower.signer.privateKey),
    'cert-chain.pem': `${lower.signer.certificatePem}${upper.signer.certificatePem}`,
    'root-cert.pem': root.signer.certificatePem,
    ...over,
  };
}

async function meets(client: WorkloadCertificate, server: WorkloadCertificate): Promise<boolean> {
  const outcome = await handshake({
    server: serverTlsOptions(server),
    client: clientTlsOptions(client),
    verifyClient: (socket) => verifyClientPeer(socket, ['td']),
    verifyServer: (socket) => verifyServerPeer(socket, [server.identity]),
  });
  return outcome.server === client.identity && outcome.client === server.identity;
}

const authority = (files: CaFiles) => {
  const material = materialOf(files, now);
  if (!material) throw new Error('no material');
  return new CertificateAuthority(material, { clock: systemClock });
};

describe('a CA from files', () => {
  test('signs with every intermediate in the chain, which peers with the root alone accept', async () => {
    const certificate = await authority(cacerts()).issueWorkload(ALICE);
    expect(certificate.chainPem).toHaveLength(3);
    expect(certificate.rootsPem).toHaveLength(1);
    expect(await meets(certificate, certificate)).toBe(true);
  });

  test('a chain file that also holds the root, or is out of order, is put right', () => {
    const shuffled = `${root.signer.certificatePem}${upper.signer.certificatePem}${lower.signer.certificatePem}`;
    expect(materialOf(cacerts({ 'cert-chain.pem': shuffled }), now)?.chainPem).toHaveLength(2);
  });

  test('a root that signs by itself has no chain', () => {
    const files = { ...caSecretFiles(root), 'cert-chain.pem': root.signer.certificatePem };
    expect(materialOf(files, now)).toMatchObject({ chainPem: [], rootsPem: root.rootsPem });
  });

  test('names of a kubernetes.io/tls secret', async () => {
    const certificate = await authority({
      'tls.crt': `${lower.signer.certificatePem}${upper.signer.certificatePem}`,
      'tls.key': pem(lower.signer.privateKey),
      'ca.crt': root.signer.certificatePem,
    }).issueWorkload(ALICE);
    expect(await meets(certificate, certificate)).toBe(true);
  });

  test('an RSA CA, as Istio makes them', async () => {
    const keys = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const certificatePem = await createAuthority({ organization: 'rsa', keys, ...validity });
    const certificate = await authority({
      'ca-cert.pem': certificatePem,
      'ca-key.pem': pem(keys.privateKey),
      'root-cert.pem': certificatePem,
    }).issueWorkload(ALICE);
    expect(await meets(certificate, certificate)).toBe(true);
  });

  test('what is saved is what is read back', () => {
    expect(materialOf(caSecretFiles(lower), now)?.signer.certificatePem).toBe(lower.signer.certificatePem);
  });

  test('no files, no material', () => {
    expect(materialOf({}, now)).toBeUndefined();
  });

  const wrong: Record<string, [over: () => CaFiles | Promise<CaFiles>, message: string]> = {
    'no key': [() => ({ 'ca-key.pem': undefined }), 'ca-key.pem: missing'],
    'a key that is none': [() => ({ 'ca-key.pem': 'hello' }), 'ca-key.pem: not a private key'],
    'a key of another certificate': [
      () => ({ 'ca-key.pem': pem(upper.signer.privateKey) }),
      'ca-key.pem: does not belong to ca-cert.pem',
    ],
    'a short RSA key': [
      () => ({ 'ca-key.pem': pem(generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey) }),
      'ca-key.pem: not a private key that can be used',
    ],
    'no root': [() => ({ 'root-cert.pem': undefined }), 'root-cert.pem: no certificate'],
    'a broken certificate': [
      () => ({ 'ca-cert.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }),
      'ca-cert.pem: not a certificate',
    ],
    'a chain with a hole': [
      () => ({ 'cert-chain.pem': lower.signer.certificatePem }),
      'the chain of the CA certificate ends at "O=upper, CN=Intermediate CA", which is no given root',
    ],
    'another root': [
      async () => ({
        'root-cert.pem': (await createSelfSignedMaterial({ organization: 'x' }, systemClock)).rootsPem[0],
      }),
      'which is no given root',
    ],
    'a root of the same name with another key': [
      async () => ({
        'root-cert.pem': (await createSelfSignedMaterial({ organization: 'root' }, systemClock)).rootsPem[0],
      }),
      'which is no given root',
    ],
    'a certificate of no CA': [
      async () => {
        const keys = await generateKeys();
        const leaf = await createLeaf(
          { names: { uris: [ALICE] }, publicKey: keys.publicKey, ...validity },
          root.signer,
        );
        return { 'ca-cert.pem': leaf, 'ca-key.pem': pem(keys.privateKey) };
      },
      'ca-cert.pem: not the certificate of a CA',
    ],
    'an expired certificate': [
      async () => {
        const keys = await generateKeys();
        const old = { notBeforeMs: now - 2 * DAY_MS, notAfterMs: now - DAY_MS };
        const certificate = await createAuthority({ organization: 'old', keys, signer: root.signer, ...old });
        return { 'ca-cert.pem': certificate, 'ca-key.pem': pem(keys.privateKey) };
      },
      'ca-cert.pem: expired',
    ],
  };
  test.each(Object.entries(wrong))('%s is refused', async (_, [over, message]) => {
    const files = cacerts(await over());
    expect(() => materialOf(files, now)).toThrow(message);
  });
});

describe('a leaf outlives nothing above it', () => {
  const untilDay = (days: number) => ({ notBeforeMs: now - DAY_MS, notAfterMs: now + days * DAY_MS });
  const sign = (organization: string, days: number, keys: KeyPair, signer?: Signer) =>
    createAuthority({ organization, keys, ...untilDay(days), ...(signer && { signer }) });

  /** root → upper → lower, which expire after so many days; and the same root with other dates, if there are any. */
  async function filesOf(days: {
    root: number;
    upper: number;
    lower: number;
    renewed?: number;
  }): Promise<CaFiles> {
    const [top, middle, own] = [await generateKeys(), await generateKeys(), await generateKeys()];
    const rootPem = await sign('root', days.root, top);
    const renewed = days.renewed === undefined ? '' : await sign('root', days.renewed, top);
    const above = { certificatePem: rootPem, privateKey: top.privateKey };
    const upperPem = await sign('upper', days.upper, middle, above);
    const below = { certificatePem: upperPem, privateKey: middle.privateKey };
    return {
      'ca-cert.pem': await sign('lower', days.lower, own, below),
      'ca-key.pem': pem(own.privateKey),
      'cert-chain.pem': upperPem,
      'root-cert.pem': `${rootPem}${renewed}`,
    };
  }

  const cases: Record<string, { days: Parameters<typeof filesOf>[0]; want: number }> = {
    'what is asked for is sooner than all': { days: { root: 70, upper: 80, lower: 90 }, want: 60 },
    'what signs expires first': { days: { root: 30, upper: 20, lower: 10 }, want: 10 },
    'what is above it does': { days: { root: 30, upper: 10, lower: 20 }, want: 10 },
    'the root does': { days: { root: 10, upper: 20, lower: 30 }, want: 10 },
    'the root does, and was renewed with its key': {
      days: { root: 10, upper: 20, lower: 30, renewed: 90 },
      want: 20,
    },
    'the root is about to': { days: { root: 0.001, upper: 20, lower: 30 }, want: 0.001 },
  };
  test.each(Object.entries(cases))('%s', async (_, { days, want }) => {
    const ca = authority(await filesOf(days));
    const { notAfterMs } = await ca.issueWorkload(ALICE, 60 * DAY_MS);
    const served = await ca.issueServer({ dnsNames: ['istiod'] }, 60 * DAY_MS);
    // Certificates count whole seconds.
    for (const ms of [notAfterMs, served.notAfterMs])
      expect(Math.abs(ms - (now + want * DAY_MS))).toBeLessThan(60_000);
  });

  test('and where that has expired nothing is signed, nor are such files taken', async () => {
    const files = await filesOf({ root: 1, upper: 20, lower: 30 });
    const material = materialOf(files, now);
    if (!material) throw new Error('no material');
    const late = new CertificateAuthority(material, { clock: new FakeClock(now + 2 * DAY_MS) });
    await expect(late.issueWorkload(ALICE)).rejects.toMatchObject({ code: 'AUTHORITY' });
    expect(() => materialOf(files, now + 2 * DAY_MS)).toThrow('a certificate above ca-cert.pem expired');
  });
});

/** Files are read outside the event loop, and the clock does not wait for them. */
async function look(clock: FakeClock): Promise<void> {
  await clock.advance(2_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
}

describe('a folder that changes', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ambit-cacerts-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const write = (files: CaFiles) =>
    Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text ?? '')));

  test('is brought into use; a broken state leaves the old one', async () => {
    const clock = new FakeClock(now);
    await write(cacerts());
    const material = await readCaFolder(folder, now);
    if (!material) throw new Error('no material');
    const ca = new CertificateAuthority(material, { clock });
    const seen: number[] = [];
    using _ = await watchCaFolder({
      folder,
      authority: ca,
      clock,
      log: silentLogger,
      reloaded: ({ rootsPem }) => seen.push(rootsPem.length),
    });
    await look(clock);
    expect(seen).toEqual([]);
    await write({ 'ca-key.pem': 'half' });
    await look(clock);
    expect(ca.material).toBe(material);
    const other = await createSelfSignedMaterial({ organization: 'other' }, systemClock);
    await write({ ...cacerts(), 'root-cert.pem': `${root.signer.certificatePem}${other.rootsPem[0]}` });
    while (seen.length === 0) await look(clock);
    expect(seen).toEqual([2]);
    await rename(join(folder, 'ca-cert.pem'), join(folder, 'gone'));
    await look(clock);
    expect(ca.material.rootsPem).toHaveLength(2);
  });

  test('takes an operator from one root to another in three steps, each of which the one before accepts', async () => {
    const clock = new FakeClock(now);
    const next = await createSelfSignedMaterial({ organization: 'next' }, systemClock);
    const [oldRoot = '', newRoot = ''] = [...root.rootsPem, ...next.rootsPem];
    await write(cacerts());
    const material = await readCaFolder(folder, now);
    if (!material) throw new Error('no material');
    const ca = new CertificateAuthority(material, { clock: systemClock });
    let reloads = 0;
    const reloaded = () => void reloads++;
    using _ = await watchCaFolder({ folder, authority: ca, clock, log: silentLogger, reloaded });
    const steps: CaFiles[] = [
      { 'root-cert.pem': `${oldRoot}${newRoot}` },
      { ...caSecretFiles(next), 'cert-chain.pem': '', 'root-cert.pem': `${newRoot}${oldRoot}` },
      { 'root-cert.pem': newRoot },
    ];
    let before = await ca.issueWorkload(ALICE);
    const first = before;
    for (const [i, files] of steps.entries()) {
      await write(files);
      while (reloads === i) await look(clock);
      const after = await ca.issueWorkload('spiffe://td/ns/shop/sa/bob');
      expect([await meets(before, after), await meets(after, before)]).toEqual([true, true]);
      before = after;
    }
    expect(before.rootsPem).toEqual([newRoot]);
    expect(await meets(first, before)).toBe(false);
  });

  test('without files has no material', async () => {
    expect(await readCaFolder(folder, now)).toBeUndefined();
    expect(await readCaFolder(join(folder, 'missing'), now)).toBeUndefined();
  });
});

describe('renewing a self-signed root', () => {
  test('is due in the last fifth of its life', async () => {
    const [pemText = ''] = root.rootsPem;
    const year = 365 * DAY_MS;
    expect(isRenewalDue(pemText, now + 7.9 * year)).toBe(false);
    expect(isRenewalDue(pemText, now + 8.1 * year)).toBe(true);
  });

  test('keeps the key, so certificates from before and after accept each other', async () => {
    const ca = new CertificateAuthority(root, { clock: systemClock });
    const before = await ca.issueWorkload(ALICE);
    ca.use(await renewRoot(root, { organization: 'root' }, systemClock));
    const after = await ca.issueWorkload('spiffe://td/ns/shop/sa/bob');
    expect(after.rootsPem[0]).not.toBe(before.rootsPem[0]);
    expect(await meets(before, after)).toBe(true);
    expect(await meets(after, before)).toBe(true);
  });
});
