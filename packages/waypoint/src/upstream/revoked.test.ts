/** Endpoints whose certificates were taken back: what the files or the Secret of a DestinationRule keep out. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { createServer, type Server } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { generateKeys } from '@ambit/identity/keys';
import { createAuthority, createLeaf, createRevocationList, type Signer } from '@ambit/identity/x509';
import type { TlsSource, UpstreamTls } from '../resources/destination-policy.ts';
import { originateTls } from './originate-tls.ts';
import { TlsMaterials } from './tls-materials.ts';

const NAME = 'bank.test';
const HOUR_MS = 3_600_000;
const nowMs = Date.now();
const validity = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS };

let root: Signer;
let middle: Signer;
let serial: string;
let server: Server;

async function authority(commonName: string, signer?: Signer): Promise<Signer> {
  const keys = await generateKeys();
  const certificatePem = await createAuthority({
    ...{ organization: 'bank', commonName, keys, ...validity },
    ...(signer && { signer }),
  });
  return { certificatePem, privateKey: keys.privateKey };
}

/** Endpoints prove a certificate of an authority below the root. */
beforeAll(async () => {
  root = await authority('root');
  middle = await authority('middle', root);
  const keys = await generateKeys();
  const leaf = await createLeaf(
    { names: { dnsNames: [NAME] }, publicKey: keys.publicKey, ...validity },
    middle,
  );
  serial = new X509Certificate(leaf).serialNumber;
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  server = createServer({ cert: leaf + middle.certificatePem, key });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => void server.close());

/** `secured`, or why not. */
async function outcome(source: TlsSource, files: Readonly<Record<string, string>>): Promise<string> {
  const policy: UpstreamTls = {
    ...{ sni: NAME, subjectAltNames: [], caCertificates: '', insecureSkipVerify: false, source },
    unreadable: undefined,
  };
  const read = (path: string) => Promise.resolve(files[path]);
  const materials = new TlsMaterials({ read, credentials: '/c', clock: systemClock, log: silentLogger });
  try {
    const context = await materials.contextOf(policy);
    const { port } = server.address() as { readonly port: number };
    const socket = connectTcp({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    return await new Promise((resolve) => {
      const done = (said: string) => {
        socket.destroy();
        resolve(said);
      };
      originateTls(socket, { policy, version: undefined, hostname: undefined }, context, {
        onSecured: () => done('secured'),
        onFailed: (error) => done((error as NodeJS.ErrnoException).code ?? error.message),
      });
    });
  } catch (error) {
    return (error as Error).message;
  }
}

const list = (signer: Signer, serials: readonly string[] = [], untilMs = nowMs + HOUR_MS) =>
  createRevocationList(serials, nowMs - HOUR_MS, signer, untilMs);

const cases: readonly (readonly [string, () => Promise<string | undefined>, string | RegExp])[] = [
  ['no list', () => Promise.resolve(undefined), 'secured'],
  ['lists that have it not', async () => (await list(root)) + (await list(middle)), 'secured'],
  [
    'it in the list of its authority',
    async () => (await list(root)) + (await list(middle, [serial])),
    'CERT_REVOKED',
  ],
  [
    'the same in another order',
    async () => (await list(middle, [serial])) + (await list(root)),
    'CERT_REVOKED',
  ],
  [
    'its authority taken back',
    async () => {
      const { serialNumber } = new X509Certificate(middle.certificatePem);
      return (await list(root, [serialNumber])) + (await list(middle));
    },
    'CERT_REVOKED',
  ],
  ['no list of its authority', () => list(root), 'UNABLE_TO_GET_CRL'],
  [
    'a list that should have been renewed',
    async () => (await list(root)) + (await list(middle, [], nowMs - 1_000)),
    'CRL_HAS_EXPIRED',
  ],
  ['what is no list', () => Promise.resolve('no list'), /Failed to parse CRL/],
];

test.each(cases)('files: %s', async (_, crl, want) => {
  const text = await crl();
  const source: TlsSource = {
    ...{ kind: 'files', clientCertificate: undefined, privateKey: undefined, caCertificates: '/ca' },
    caCrl: text === undefined ? undefined : '/crl',
  };
  const files = { '/ca': root.certificatePem, ...(text !== undefined && { '/crl': text }) };
  expect(await outcome(source, files)).toEqual(typeof want === 'string' ? want : expect.stringMatching(want));
});

test.each(cases)('a Secret: %s', async (_, crl, want) => {
  const text = await crl();
  const source: TlsSource = { kind: 'credential', name: 'bank', isMutual: false };
  const files = {
    '/c/bank/ca.crt': root.certificatePem,
    ...(text !== undefined && { '/c/bank/ca.crl': text }),
  };
  expect(await outcome(source, files)).toEqual(typeof want === 'string' ? want : expect.stringMatching(want));
});

test('a list that is named and is not there keeps everybody out', async () => {
  const source: TlsSource = {
    ...{ kind: 'files', clientCertificate: undefined, privateKey: undefined, caCertificates: '/ca' },
    caCrl: '/crl',
  };
  expect(await outcome(source, { '/ca': root.certificatePem })).toBe('there is no file /crl');
});
