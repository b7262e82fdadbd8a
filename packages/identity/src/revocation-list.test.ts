import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import type { CertificateAuthority } from './certificate-authority.ts';
import { parseRevocationLists, Revocations, watchRevocationFile } from './revocation-list.ts';
import { createSelfSignedCa } from './self-signed-ca.ts';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { handshake } from './testing/handshake.ts';
import { clientTlsOptions, serverTlsOptions, verifyClientPeer, verifyServerPeer } from './tls-context.ts';
import type { WorkloadCertificate } from './workload-certificate.ts';
import { createRevocationList } from './x509.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const BOB = 'spiffe://td/ns/shop/sa/bob';
let ca: CertificateAuthority;
let alice: WorkloadCertificate;
let bob: WorkloadCertificate;

beforeAll(async () => {
  ca = await createSelfSignedCa({ clock: systemClock, intermediate: true });
  alice = await ca.issueWorkload(ALICE);
  bob = await ca.issueWorkload(BOB);
});

const listOf = async (...serials: string[]) =>
  Buffer.from(await createRevocationList(serials, systemClock.now(), ca.material.signer));

const chainOf = (certificate: WorkloadCertificate) =>
  certificate.chainPem.map((pem) => new X509Certificate(pem));

const meet = (revocations: Revocations) =>
  handshake({
    server: serverTlsOptions(bob),
    client: clientTlsOptions(alice),
    verifyClient: (socket) => verifyClientPeer(socket, ['td'], revocations.check),
    verifyServer: (socket) => verifyServerPeer(socket, [BOB], revocations.check),
  });

describe('a revoked certificate', () => {
  test('is refused by the server', async () => {
    const revocations = new Revocations();
    revocations.replace(await listOf(alice.serial));
    expect(await meet(revocations)).toMatchObject({
      server: `peer certificate is Revoked: serial ${alice.serial} is in the CRL`,
      client: BOB,
    });
  });

  test('is refused by the client', async () => {
    const revocations = new Revocations();
    revocations.replace(await listOf(bob.serial));
    expect((await meet(revocations)).client).toContain('Revoked');
  });

  test('takes those with it that it signed', async () => {
    const root = await createSelfSignedCa({ clock: systemClock });
    const intermediate = new X509Certificate(ca.material.chainPem[0] ?? '');
    const revocations = new Revocations();
    revocations.replace(
      Buffer.from(await createRevocationList([intermediate.serialNumber], 0, root.material.signer)),
    );
    expect((await meet(revocations)).server).toContain('Revoked');
  });

  test('of another issuer with the same serial is somebody else', async () => {
    const other = await createSelfSignedCa({ clock: systemClock, organization: 'other' });
    const revocations = new Revocations();
    revocations.replace(Buffer.from(await createRevocationList([alice.serial], 0, other.material.signer)));
    expect(await meet(revocations)).toMatchObject({ server: ALICE, client: BOB });
  });

  test('ends open connections, each once, and spares the others', async () => {
    const revocations = new Revocations();
    const ended: string[] = [];
    revocations.track(chainOf(alice), (reason) => ended.push(reason));
    revocations.track(chainOf(bob), () => ended.push('bob'));
    revocations.track(chainOf(alice), () => ended.push('closed before'))[Symbol.dispose]();
    revocations.replace(await listOf('01'));
    expect(ended).toEqual([]);
    revocations.replace(await listOf(alice.serial));
    revocations.replace(await listOf(alice.serial));
    expect(ended).toEqual([expect.stringContaining(alice.serial)]);
  });
});

describe('a list', () => {
  test('of nothing, in several blocks, or as DER', async () => {
    expect(parseRevocationLists(new Uint8Array()).size).toBe(0);
    expect(parseRevocationLists(Buffer.from('\n')).size).toBe(0);
    const two = Buffer.concat([await listOf('01'), Buffer.from(alice.chainPem[0] ?? ''), await listOf('02')]);
    expect([...parseRevocationLists(two).values()][0]?.size).toBe(2);
    const base64 = (await listOf('03')).toString().split('\n').slice(1, -2).join('');
    expect(parseRevocationLists(Buffer.from(base64, 'base64')).size).toBe(1);
    expect([...parseRevocationLists(await listOf()).values()][0]?.size).toBe(0);
  });

  test('that is broken is refused, and the old one stays in force', async () => {
    const revocations = new Revocations();
    revocations.replace(await listOf(alice.serial));
    const good = await listOf('01', '02');
    const der = Buffer.from(good.toString().split('\n').slice(1, -2).join(''), 'base64');
    const broken = [
      'hello',
      good.subarray(0, good.length - 40),
      der.subarray(0, -1),
      Buffer.from([0x30, 0x80]),
    ];
    for (const bytes of broken) {
      expect(() => revocations.replace(Buffer.from(bytes))).toThrow(/CRL/);
      expect(revocations.check(chainOf(alice))).toContain('Revoked');
    }
  });

  test('in a file is loaded when it appears and when it changes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ambit-crl-'));
    const path = join(folder, 'ca-crl.pem');
    const clock = new FakeClock();
    const revocations = new Revocations();
    // Files are read outside the event loop, and the clock does not wait for them.
    const look = async () => {
      await clock.advance(2_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
    };
    const lookUntil = async (size: number) => {
      for (let i = 0; i < 200 && revocations.size !== size; i++) await look();
    };
    using _ = await watchRevocationFile({ path, revocations, clock, log: silentLogger });
    expect(revocations.size).toBe(0);
    await writeFile(path, await listOf(alice.serial));
    await lookUntil(1);
    expect(revocations.size).toBe(1);
    await writeFile(path, 'broken');
    await look();
    expect(revocations.size).toBe(1);
    await writeFile(path, '');
    await lookUntil(0);
    expect(revocations.size).toBe(0);
    await rm(folder, { recursive: true });
  });
});
