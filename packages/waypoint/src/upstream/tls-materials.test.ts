import { beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { MAX_TLS_FILE_BYTES, TLS_FILES_CHECK_MS } from '../limits.ts';
import type { TlsSource, UpstreamTls } from '../resources/destination-policy.ts';
import { readTlsFile } from './read-tls-file.ts';
import { TlsMaterials } from './tls-materials.ts';

interface Pair {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

let one: Pair;
let other: Pair;

async function pair(): Promise<Pair> {
  const ca = await createSelfSignedCa({ clock: systemClock });
  const { certificatePem, keys } = await ca.issueServer({ dnsNames: ['a.test'] });
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { cert: certificatePem, key, ca: ca.material.rootsPem.join('') };
}

beforeAll(async () => {
  [one, other] = await Promise.all([pair(), pair()]);
});

const policyOf = (source: TlsSource, insecureSkipVerify = false): UpstreamTls => ({
  sni: '',
  subjectAltNames: [],
  caCertificates: '',
  insecureSkipVerify,
  source,
  unreadable: undefined,
});

const credential = (isMutual: boolean): TlsSource => ({ kind: 'credential', name: 'bank', isMutual });

function materialsOf(files: Record<string, string>) {
  const state = { nowMs: 0, reads: 0 };
  const read = (path: string) => {
    state.reads += 1;
    return Promise.resolve(files[path.replace('/c/', '')]);
  };
  const clock = { ...systemClock, monotonicMs: () => state.nowMs };
  const told: string[] = [];
  const tell = (message: string) => void told.push(message);
  const log = { ...silentLogger, warn: tell, info: tell };
  const materials = new TlsMaterials({ read, credentials: '/c', clock, log });
  return { materials, state, told };
}

/** How it goes with a Secret's files, by what each holds of `one`. */
async function outcome(
  files: Readonly<Record<string, keyof Pair | ''>>,
  policy: UpstreamTls,
): Promise<string> {
  const texts = Object.entries(files).map(([path, part]) => [path, part === '' ? '' : one[part]] as const);
  const { materials } = materialsOf(Object.fromEntries(texts));
  try {
    await materials.contextOf(policy);
    return 'fine';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a Secret', () => {
  const unusable = (what: string) =>
    `Secret bank has no ${what}, is not there, or is not mounted: the Gateway names it in annotation ambit.mesh/credentials`;
  const noPair = unusable('cert and key, or tls.crt and tls.key');
  const noAuthorities = unusable('cacert, or ca.crt');
  test.each<[string, Readonly<Record<string, keyof Pair | ''>>, boolean, boolean, string]>([
    [
      'of kind tls',
      { 'bank/tls.crt': 'cert', 'bank/tls.key': 'key', 'bank/ca.crt': 'ca' },
      true,
      false,
      'fine',
    ],
    ['generic', { 'bank/cert': 'cert', 'bank/key': 'key', 'bank/cacert': 'ca' }, true, false, 'fine'],
    [
      'authorities in one of their own',
      { 'bank/cert': 'cert', 'bank/key': 'key', 'bank-cacert/ca.crt': 'ca' },
      true,
      false,
      'fine',
    ],
    ['SIMPLE: authorities are enough', { 'bank/ca.crt': 'ca' }, false, false, 'fine'],
    ['nothing', {}, true, false, noPair],
    ['SIMPLE: nothing', {}, false, false, noAuthorities],
    ['half of a pair', { 'bank/tls.crt': 'cert', 'bank/ca.crt': 'ca' }, true, false, noPair],
    ['empty', { 'bank/tls.crt': '', 'bank/tls.key': '', 'bank/ca.crt': 'ca' }, true, false, noPair],
    ['no authorities', { 'bank/tls.crt': 'cert', 'bank/tls.key': 'key' }, true, false, noAuthorities],
    ['no authorities, and nobody need prove', { 'bank/cert': 'cert', 'bank/key': 'key' }, true, true, 'fine'],
  ])('%s', async (_, files, isMutual, insecure, expected) => {
    expect(await outcome(files, policyOf(credential(isMutual), insecure))).toBe(expected);
  });

  test('what is no key is told without what is in it', async () => {
    const said = await outcome(
      { 'bank/cert': 'cert', 'bank/key': 'ca', 'bank/cacert': 'ca' },
      policyOf(credential(true)),
    );
    expect(said).toMatch(/error:/);
    expect(said).not.toContain('BEGIN');
  });
});

describe('renewal', () => {
  const source: TlsSource = {
    kind: 'files',
    clientCertificate: '/tls.crt',
    privateKey: '/tls.key',
    caCertificates: '/ca',
    caCrl: undefined,
  };
  const filesOf = ({ cert, key, ca }: Pair) => ({ '/tls.crt': cert, '/tls.key': key, '/ca': ca });

  test('files are looked at again after a while; what is the same stays, what was renewed is used', async () => {
    const files: Record<string, string> = filesOf(one);
    const { materials, state, told } = materialsOf(files);
    const policy = policyOf(source);
    const first = await materials.contextOf(policy);
    expect([materials.contextOf(policy), state.reads]).toEqual([first, 3]);
    state.nowMs += TLS_FILES_CHECK_MS;
    expect(await materials.contextOf(policy)).toBe(first);
    expect(state.reads).toBe(6);
    Object.assign(files, filesOf(other));
    state.nowMs += TLS_FILES_CHECK_MS;
    const renewed = await materials.contextOf(policy);
    expect(renewed).not.toBe(first);
    // Taken away, nothing goes on with what there was; and put back, it does.
    delete files['/tls.key'];
    state.nowMs += TLS_FILES_CHECK_MS;
    await expect(materials.contextOf(policy)).rejects.toThrow('there is no file /tls.key');
    expect(() => materials.contextOf(policy)).toThrow('there is no file /tls.key');
    state.nowMs += TLS_FILES_CHECK_MS;
    await expect(materials.contextOf(policy)).rejects.toThrow('there is no file /tls.key');
    Object.assign(files, filesOf(one));
    state.nowMs += TLS_FILES_CHECK_MS;
    await materials.contextOf(policy);
    expect(told).toEqual([
      'TLS with endpoints lacks what it needs',
      'TLS with endpoints has what it needs again',
    ]);
  });

  test('those who ask at a time share one look', async () => {
    const { materials, state } = materialsOf(filesOf(one));
    const policy = policyOf(source);
    await Promise.all([materials.contextOf(policy), materials.contextOf(policy)]);
    expect(state.reads).toBe(3);
  });

  test('a certificate that was read before its key was renewed is read once more', async () => {
    const files: Record<string, string> = filesOf(one);
    let reads = 0;
    const read = (path: string) => {
      reads += 1;
      const text = files[path];
      if (reads === 2) Object.assign(files, filesOf(other));
      return Promise.resolve(text);
    };
    await new TlsMaterials({ read, clock: systemClock, log: silentLogger }).contextOf(policyOf(source));
    expect(reads).toBe(6);
  });

  test('without a file for authorities the system’s count; with a revocation list, it is used', async () => {
    const { materials } = materialsOf({ ...filesOf(one), '/crl': 'no list' });
    await materials.contextOf(policyOf({ ...source, caCertificates: undefined }));
    await expect(materials.contextOf(policyOf({ ...source, caCrl: '/crl' }))).rejects.toThrow(
      /Failed to parse CRL/,
    );
  });
});

describe('a file', () => {
  test('is a regular one of bounded size, or none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-tls-'));
    try {
      writeFileSync(join(folder, 'fine'), 'text');
      writeFileSync(join(folder, 'long'), Buffer.alloc(MAX_TLS_FILE_BYTES + 1));
      expect(await readTlsFile(join(folder, 'fine'))).toBe('text');
      expect(await readTlsFile(join(folder, 'none'))).toBeUndefined();
      expect(await readTlsFile(join(folder, 'fine', 'below'))).toBeUndefined();
      await expect(readTlsFile(join(folder, 'long'))).rejects.toThrow(/has more than 262144 bytes$/);
      await expect(readTlsFile('/dev/zero')).rejects.toThrow('/dev/zero is no file');
      await expect(readTlsFile(folder)).rejects.toThrow(/is no file$|cannot be read: EISDIR/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
