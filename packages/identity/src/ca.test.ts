import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { IstioCertificateRequest } from '@ambit/api/ca';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { silentLogger } from '@ambit/core/log';
import { freePort } from '@ambit/core/testing/free-port';
import { type Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { CaClient, type CaClientOptions } from './ca-client.ts';
import { CA_SERVICE, type CaCaller, createCaService } from './ca-server.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { createSelfSignedCa } from './self-signed-ca.ts';
import { CHANNEL_MIN_AGE_MS, REQUEST_TIMEOUT_MS } from './limits.ts';
import { identityOfPem } from './workload-certificate.ts';
import type { SubjectNames } from './x509.ts';

const ZTUNNEL = 'spiffe://td/ns/istio-system/sa/ztunnel';
const ISTIOD = 'istiod.istio-system.svc';
const ALICE = 'spiffe://td/ns/shop/sa/alice';
const HOUR_MS = 3_600_000;
const never = new AbortController().signal;

let folder: string;
let ca: CertificateAuthority;
let server: Server;
let port: number;
let seen: Metadata | undefined;
let serverNames: SubjectNames;
let issued: (chain: readonly string[]) => readonly string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambit-ca-'));
  ca = await createSelfSignedCa({ clock: systemClock });
  issued = (chain) => chain;
  serverNames = { dnsNames: [ISTIOD] };
  server = await serve(ca, 0);
});

afterEach(async () => {
  server.forceShutdown();
  await rm(folder, { recursive: true });
});

/** A CA for whoever has the token `good`, where ztunnel may act for anybody but `…/sa/elsewhere`. */
async function serve(authority: CertificateAuthority, onPort: number): Promise<Server> {
  const grpc = new Server();
  grpc.addService(
    CA_SERVICE,
    createCaService<CaCaller>({
      authority: { issue: async (request) => issued(await authority.issue(request)) },
      authenticate: async (headers) => {
        seen = headers;
        if (headers.get('authorization')[0] !== 'Bearer good') throw new Error('TokenReview says no');
        return { identities: [ZTUNNEL] };
      },
      authorize: async (_, identity) => {
        if (identity.endsWith('/elsewhere')) throw new Error('no such pod on that node');
      },
      log: silentLogger,
    }),
  );
  const { certificatePem, keys } = await authority.issueServer(serverNames);
  const pair = {
    cert_chain: Buffer.from(certificatePem),
    private_key: Buffer.from(keys.privateKey.export({ format: 'pem', type: 'pkcs8' })),
  };
  port = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync(`127.0.0.1:${onPort}`, ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return grpc;
}

function client(over: Partial<CaClientOptions> = {}): CaClient {
  return new CaClient({
    address: `127.0.0.1:${port}`,
    root: { kind: 'pem', pem: ca.material.rootsPem.join('') },
    alternativeHost: ISTIOD,
    token: { kind: 'literal', token: 'good' },
    clusterId: 'Kubernetes',
    headers: {},
    impersonate: true,
    ttlMs: HOUR_MS,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    ...over,
  });
}

describe('asking a CA over the network', () => {
  test('gives a certificate of the identity asked for, with the headers that Istio sends', async () => {
    using asking = client({ headers: { 'x-tenant': 'blue' } });
    const certificate = await asking.fetch(ALICE, never);
    expect(certificate).toMatchObject({ identity: ALICE, rootsPem: ca.material.rootsPem.map((pem) => pem) });
    expect(identityOfPem(certificate.chainPem[0] ?? '')).toBe(ALICE);
    expect(certificate.notAfterMs - certificate.notBeforeMs).toBe(HOUR_MS + 120_000);
    expect(seen?.getMap()).toMatchObject({
      authorization: 'Bearer good',
      clusterid: 'Kubernetes',
      'x-tenant': 'blue',
    });
  });

  test('does not take a common name for the name of the CA', async () => {
    server.forceShutdown();
    serverNames = { uris: [ALICE], commonName: ISTIOD };
    server = await serve(ca, 0);
    using asking = client();
    await expect(asking.fetch(ALICE, never)).rejects.toThrow('UNAVAILABLE');
  });

  test('connects before anybody asks, and again when the connection has come to its end', async () => {
    const connections: Socket[] = [];
    const relay = createServer((socket) => {
      connections.push(socket);
      socket.on('error', () => undefined);
      socket.pipe(connect(port, '127.0.0.1').on('error', () => undefined)).pipe(socket);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { port: relayed } = relay.address() as AddressInfo;
    const eventually = async (count: number) => {
      for (let left = 2_500; connections.length < count; left -= 1) {
        if (left === 0) throw new Error(`${connections.length} connections`);
        await systemClock.sleep(10);
      }
    };
    try {
      using asking = client({ address: `127.0.0.1:${relayed}`, random: () => 0 });
      asking.connectAhead();
      await eventually(1);
      await asking.fetch(ALICE, never);
      expect(connections).toHaveLength(1);
      connections[0]?.end();
      await eventually(2);
      await asking.fetch(ALICE, never);
      expect(connections).toHaveLength(2);
    } finally {
      for (const connection of connections) connection.destroy();
      relay.close();
    }
  });

  test('leaves a connection on which nothing comes back', async () => {
    let taken = 0;
    const relay = createServer((socket) => {
      taken += 1;
      socket.on('error', () => undefined);
      const upstream = connect(port, '127.0.0.1').on('error', () => undefined);
      socket.pipe(upstream);
      // The first one lets the handshake through, and then nothing.
      if (taken > 1) upstream.pipe(socket);
      else upstream.once('data', (bytes: Buffer) => socket.write(bytes));
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { port: relayed } = relay.address() as AddressInfo;
    try {
      let aheadMs = REQUEST_TIMEOUT_MS - 1_500;
      const clock = { ...systemClock, now: () => Date.now() - aheadMs };
      using asking = client({ address: `127.0.0.1:${relayed}`, clock });
      await expect(asking.fetch(ALICE, never)).rejects.toThrow('DEADLINE_EXCEEDED');
      aheadMs = 0;
      await expect(asking.fetch(ALICE, never)).resolves.toMatchObject({ identity: ALICE });
      expect(taken).toBe(2);
    } finally {
      relay.close();
    }
  });

  test('dials a CA that was away as soon as it is asked again, whatever gRPC waits for', async () => {
    server.forceShutdown();
    // No connection of others takes it meanwhile.
    port = await freePort();
    using asking = client();
    // Each failure makes gRPC's own pause longer.
    for (let attempt = 0; attempt < 4; attempt++) {
      await expect(asking.fetch(ALICE, never)).rejects.toThrow('UNAVAILABLE');
      await systemClock.sleep(CHANNEL_MIN_AGE_MS);
    }
    server = await serve(ca, port);
    await expect(asking.fetch(ALICE, never)).resolves.toMatchObject({ identity: ALICE });
  });

  test('does not come back when it was disposed of while it began to connect', async () => {
    const asking = client();
    asking.connectAhead();
    const asked = asking.fetch(ALICE, never);
    asking[Symbol.dispose]();
    await expect(asked).rejects.toThrow('nobody asks any more');
  });

  test('uses a new key for each request', async () => {
    using asking = client();
    const [one, two] = [await asking.fetch(ALICE, never), await asking.fetch(ALICE, never)];
    expect(one.privateKey.equals(two.privateKey)).toBe(false);
    expect(one.serial).not.toBe(two.serial);
  });

  test('without impersonation the CA names the caller', async () => {
    using asking = client({ impersonate: false });
    const { chainPem } = await asking.fetch(ZTUNNEL, never);
    expect(identityOfPem(chainPem[0] ?? '')).toBe(ZTUNNEL);
  });

  test('brings intermediates and every root', async () => {
    const below = await createSelfSignedCa({ clock: systemClock, intermediate: true });
    ca.use({ ...below.material, rootsPem: [...below.material.rootsPem, ...ca.material.rootsPem] });
    const roots = ca.material.rootsPem;
    using asking = client({ root: { kind: 'pem', pem: roots.join('') } });
    const certificate = await asking.fetch(ALICE, never);
    expect(certificate.chainPem).toHaveLength(2);
    expect(certificate.rootsPem).toHaveLength(2);
  });

  test('reads the token anew for each request', async () => {
    const path = join(folder, 'token');
    await writeFile(path, 'expired\n');
    using asking = client({ token: { kind: 'file', path } });
    await expect(asking.fetch(ALICE, never)).rejects.toThrow('UNAUTHENTICATED: request authenticate failure');
    await writeFile(path, 'good\n');
    await expect(asking.fetch(ALICE, never)).resolves.toMatchObject({ identity: ALICE });
  });

  test('follows a CA whose root changed, and keeps its channel while the new root cannot be read', async () => {
    const path = join(folder, 'root-cert.pem');
    await writeFile(path, ca.material.rootsPem.join(''));
    using asking = client({ root: { kind: 'file', path } });
    await asking.fetch(ALICE, never);
    await writeFile(path, 'half a file');
    await expect(asking.fetch(ALICE, never)).resolves.toBeDefined();
    server.forceShutdown();
    const next = await createSelfSignedCa({ clock: systemClock });
    server = await serve(next, port);
    await expect(asking.fetch(ALICE, never)).rejects.toThrow('UNAVAILABLE');
    await writeFile(path, next.material.rootsPem.join(''));
    await expect(asking.fetch(ALICE, never)).resolves.toMatchObject({ rootsPem: next.material.rootsPem });
  });
});

describe('a request fails, and says why', () => {
  const cases: Record<
    string,
    [over: () => Partial<CaClientOptions>, identity: string, message: string | RegExp]
  > = {
    'when the token is wrong': [
      () => ({ token: { kind: 'literal', token: 'bad' } }),
      ALICE,
      `no certificate for ${ALICE}: UNAUTHENTICATED: request authenticate failure`,
    ],
    'when there is no token': [() => ({ token: { kind: 'none' } }), ALICE, 'request authenticate failure'],
    'when the token file is empty': [
      () => ({ token: { kind: 'file', path: '/dev/null' } }),
      ALICE,
      'the request could not be made: token file /dev/null is empty',
    ],
    'when the token file is missing': [
      () => ({ token: { kind: 'file', path: '/nonexistent/token' } }),
      ALICE,
      'ENOENT',
    ],
    'when the root file is missing': [
      () => ({ root: { kind: 'file', path: '/nonexistent/root' } }),
      ALICE,
      'no root to verify the CA by',
    ],
    'when it may not act for that workload': [
      () => ({}),
      'spiffe://td/ns/shop/sa/elsewhere',
      'UNAUTHENTICATED: request impersonation authentication failure',
    ],
    'when the identity is none': [() => ({}), 'spiffe://td/ns/shop', 'not a SPIFFE identity'],
    'when it asks for too long': [
      () => ({ ttlMs: 91 * 24 * HOUR_MS }),
      ALICE,
      'INVALID_ARGUMENT: certificate signing error: requested TTL',
    ],
    'when the CA has another name': [() => ({ alternativeHost: 'other.svc' }), ALICE, 'UNAVAILABLE'],
    'when nobody listens': [
      () => ({ address: '127.0.0.1:1' }),
      ALICE,
      /: UNAVAILABLE: connect ECONNREFUSED 127\.0\.0\.1:1 \(CA at 127\.0\.0\.1:1\)$/,
    ],
  };
  test.each(Object.entries(cases))('%s', async (_, [over, identity, message]) => {
    using asking = client(over());
    await expect(asking.fetch(identity, never)).rejects.toThrow(message);
  });

  test('what failed is told once', async () => {
    using asking = client({ address: '127.0.0.1:1' });
    const error: unknown = await asking.fetch(ALICE, never).catch((problem: unknown) => problem);
    expect(messageOf(error).match(/ECONNREFUSED/g)).toHaveLength(1);
  });

  test('when the CA is of another root', async () => {
    const other = await createSelfSignedCa({ clock: systemClock });
    using asking = client({ root: { kind: 'pem', pem: other.material.rootsPem.join('') } });
    await expect(asking.fetch(ALICE, never)).rejects.toThrow('UNAVAILABLE');
  });

  const answers: Record<string, [(chain: readonly string[]) => readonly string[], string]> = {
    nothing: [() => [], 'the CA sent no certificate'],
    'no root': [(chain) => chain.slice(0, 1), 'no root certificate present'],
    'a root that is none': [
      (chain) => [chain[0] ?? '', 'hello'],
      'no root certificate of the CA can be used',
    ],
    'a leaf that is none': [
      (chain) => ['hello', ...chain.slice(1)],
      'leaf: wanted one PEM certificate, got 0',
    ],
    'two leaves in one': [
      (chain) => [`${chain[0]}${chain[0]}`, ...chain.slice(1)],
      'leaf: wanted one PEM certificate, got 2',
    ],
    'somebody else': [(chain) => [chain[1] ?? '', chain[1] ?? ''], 'made for another key'],
    'a thousand certificates': [(chain) => Array<string>(1_000).fill(chain[0] ?? ''), 'more than 256'],
    'two megabytes': [(chain) => [...chain, 'x'.repeat(2_000_000)], 'RESOURCE_EXHAUSTED'],
  };
  test.each(Object.entries(answers))('when the CA answers %s', async (_, [change, message]) => {
    issued = change;
    using asking = client();
    await expect(asking.fetch(ALICE, never)).rejects.toThrow(message);
  });

  test('when the CA signs another name', async () => {
    const { issue } = ca;
    ca.issue = (request) => issue.call(ca, { ...request, identities: [ZTUNNEL] });
    using asking = client();
    await expect(asking.fetch(ALICE, never)).rejects.toThrow(
      `did not find expected SAN in the answer, got ${ZTUNNEL}`,
    );
  });

  test('when it is given up', async () => {
    ca.issue = () => new Promise(() => undefined);
    using asking = client();
    const abort = new AbortController();
    const asked = asking.fetch(ALICE, abort.signal);
    setTimeout(() => abort.abort(), 100);
    await expect(asked).rejects.toThrow('CANCELLED');
  });
});

test('who is refused learns nothing of the reason', async () => {
  using asking = client();
  const error: Error = await asking.fetch('spiffe://td/ns/shop/sa/elsewhere', never).then(
    () => new Error('was not refused'),
    (reason: Error) => reason,
  );
  expect(error.message).not.toContain('no such pod');
});

test('odd metadata is a refusal, not a crash', async () => {
  const service = createCaService<CaCaller>({
    authority: ca,
    authenticate: async () => ({ identities: [ZTUNNEL] }),
    authorize: async () => undefined,
    log: silentLogger,
  });
  for (const value of [5, { nested: true }, ['list'], null, true]) {
    const request: IstioCertificateRequest = {
      csr: 'x',
      validityDuration: 0n,
      metadata: { ImpersonatedIdentity: value },
    };
    const call = { request, metadata: { get: () => [] }, getPeer: () => 'test' };
    const refused = await new Promise((resolve) => {
      service.createCertificate(call as never, (error) => resolve(error));
    });
    expect(refused).toMatchObject({ details: 'request impersonation authentication failure' });
  }
});
