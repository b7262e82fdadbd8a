import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { RequestListener, ServerResponse } from 'node:http';
import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { describe, expect, test } from '@jest/globals';
import { AppProtocol, LoadBalancingMode } from '@ambit/api/workload';
import type { WaypointFields, WaypointResources } from '@ambit/api/waypoint';
import { systemClock } from '@ambit/core/clock';
import { bytesOfIp } from '@ambit/core/ip';
import type { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { generateKeys } from '@ambit/identity/keys';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { createLeaf } from '@ambit/identity/x509';
import { UPSTREAM_SWEEP_MS } from '../limits.ts';
import { type Backend, http2Backend, httpBackend, startNode, tcpBackend } from '../testing/backend.ts';
import type { Client } from '../testing/client.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import {
  hostnameOf,
  identityOf,
  NAMESPACE,
  type NetworkOptions,
  startWaypoint,
  WAYPOINT_IDENTITY,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';

async function web(ip: string, handler?: RequestListener): Promise<Backend> {
  return use(await httpBackend(ip, handler ?? ((_, response) => response.end(ip))));
}

async function networkOf(
  backends: readonly Backend[],
  options: NetworkOptions = {},
): Promise<WaypointNetwork> {
  const network = use(await startWaypoint(options));
  network.service({ name: 'web', vip: '10.9.0.1' });
  for (const [i, { ip, port }] of backends.entries())
    network.endpoint({ name: `web-${i}`, service: 'web', ip, port });
  return network;
}

type Policy = NonNullable<WaypointFields<WaypointResources['DestinationPolicy']>['policy']>;

let changes = 0;
/** Resolves when what was told before is in force. */
async function inForce(network: WaypointNetwork): Promise<void> {
  changes += 1;
  const vip = `10.8.${changes >> 8}.${changes & 255}`;
  network.service({ name: `marker-${changes}`, vip });
  (await (await network.client()).connect(`${vip}:80`)).destroy();
}

async function policy(network: WaypointNetwork, fields: Policy, service = 'web'): Promise<void> {
  network.controlPlane.set('DestinationPolicy', `DestinationRule/${NAMESPACE}/${service}`, {
    origin: { kind: 'DestinationRule', namespace: NAMESPACE, name: service, createdMs: 1n },
    hostname: hostnameOf(service),
    policy: fields,
  });
  await inForce(network);
}

async function bodies(client: Client, count: number, headers = {}): Promise<ReadonlyMap<string, number>> {
  const seen = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const { body } = await client.request(WEB, { headers });
    seen.set(body, (seen.get(body) ?? 0) + 1);
  }
  return seen;
}

describe('endpoints', () => {
  test('share requests, by hash where the policy says so', async () => {
    const network = await networkOf([await web('127.0.0.2'), await web('127.0.0.3'), await web('127.0.0.4')]);
    const client = await network.client();
    expect((await bodies(client, 60)).size).toBe(3);
    await policy(network, {
      loadBalancer: { consistentHash: { key: { $case: 'header', value: 'x-user' } } },
    });
    // The endpoints' ports are part of what is hashed: of few users all might come to one.
    const names = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    const users = await Promise.all(names.map(async (user) => await bodies(client, 4, { 'x-user': user })));
    expect(users.map(({ size }) => size)).toEqual(names.map(() => 1));
    expect(new Set(users.flatMap((seen) => [...seen.keys()])).size).toBeGreaterThan(1);
  });

  test('that fail in a row are left out, and asked again after a while', async () => {
    let isIll = true;
    const ill = await web('127.0.0.2', (_, response) => {
      response.statusCode = isIll ? 503 : 200;
      response.end('127.0.0.2');
    });
    const network = await networkOf([ill, await web('127.0.0.3')]);
    await policy(network, {
      outlierDetection: { consecutive5xx: 2, intervalMs: 50, baseEjectionMs: 200, maxEjectionPercent: 100 },
    });
    const client = await network.client();
    await until(async () => (await bodies(client, 10)).size === 1, 'it is left out');
    isIll = false;
    await until(async () => (await bodies(client, 10)).size === 2, 'it is in again');
  });

  test.each<[string, NonNullable<Policy['outlierDetection']>, boolean, number]>([
    [
      'apart: who answers badly stays, where failures to connect alone are counted',
      { splitExternalLocalOriginErrors: true, consecutive5xx: 0, consecutiveLocalOriginFailures: 1 },
      true,
      1,
    ],
    [
      'apart: who cannot be connected with stays, where answers alone are counted',
      { splitExternalLocalOriginErrors: true, consecutive5xx: 1, consecutiveLocalOriginFailures: 0 },
      false,
      1,
    ],
    ['together otherwise', { consecutive5xx: 1, consecutiveLocalOriginFailures: 0 }, false, 2],
  ])('have their failures counted %s', async (_, parts, isIllAsked, ejected) => {
    const ill = await web('127.0.0.2', (__, response) => response.writeHead(503).end('ill'));
    const network = await networkOf([ill, await web('127.0.0.3', (__, response) => response.end('well'))]);
    // Requests for it are tried again, elsewhere.
    network.endpoint({ name: 'web-2', service: 'web', ip: '127.0.0.4', port: 1 });
    await policy(network, {
      outlierDetection: { intervalMs: 50, baseEjectionMs: 60_000, maxEjectionPercent: 100, ...parts },
    });
    const client = await network.client();
    const ejections = async () => {
      const { body } = await network.page('stats', '/metrics');
      return Number(/^ambit_waypoint_endpoints\{[^}]*state="ejected"\} (\d+)$/m.exec(body)?.[1] ?? 0);
    };
    await until(async () => {
      await bodies(client, 10);
      return (await ejections()) === ejected;
    }, `${ejected} are out`);
    expect((await bodies(client, 30)).has('ill')).toBe(isIllAsked);
    expect(await ejections()).toBe(ejected);
  });

  test('are asked for their health in their tunnels, as the waypoint, beside what a DestinationRule says', async () => {
    let isWell = true;
    const asked: (string | undefined)[] = [];
    const backend = await web('127.0.0.2', (request, response) => {
      if (request.headers['user-agent'] === 'ambit-waypoint/health') {
        asked.push(request.url);
        response.writeHead(isWell ? 200 : 500);
      }
      response.end('hello');
    });
    const node = use(await startNode('127.0.0.2', identityOf('web-0'), 0));
    const network = use(await startWaypoint({ hbonePort: node.port }));
    network.service({ name: 'web', vip: '10.9.0.1' });
    network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: backend.port, tunnelled: true });
    const healthCheck = {
      path: '/ready',
      intervalMs: 30,
      timeoutMs: 30_000,
      healthyThreshold: 1,
      unhealthyThreshold: 1,
    };
    network.controlPlane.set('DestinationPolicy', `Service/${NAMESPACE}/${hostnameOf('web')}`, {
      origin: { kind: 'Service', namespace: NAMESPACE, name: 'web', createdMs: 1n },
      hostname: hostnameOf('web'),
      serviceNamespace: NAMESPACE,
      ports: [{ port: 80, policy: { healthCheck } }],
    });
    await policy(network, { connectionPool: { maxRequests: 100 } });
    const client = await network.client();
    expect((await client.request(WEB)).status).toBe(200);
    await until(() => asked.length > 1, 'it is asked');
    expect([new Set(asked), node.peers]).toEqual([new Set(['/ready']), new Set([WAYPOINT_IDENTITY])]);
    isWell = false;
    await until(async () => (await client.request(WEB)).status === 503, 'it is left out');
    isWell = true;
    await until(async () => (await client.request(WEB)).status === 200, 'it is in again');
  });

  test('that fail their health checks are left out, by each kind of check', async () => {
    let isIll = true;
    const asked: (string | undefined)[] = [];
    const ill = await web('127.0.0.2', (request, response) => {
      if (request.url !== '/healthz') {
        response.end('127.0.0.2');
        return;
      }
      asked.push(request.headers.host);
      response.statusCode = isIll ? 500 : 200;
      response.end();
    });
    const network = await networkOf([
      ill,
      await web('127.0.0.3', (_, response) => response.end('127.0.0.3')),
    ]);
    const check = { intervalMs: 30, timeoutMs: 30_000, healthyThreshold: 1, unhealthyThreshold: 1 };
    await policy(network, { healthCheck: { path: '/healthz', ...check } });
    const client = await network.client();
    await until(async () => (await bodies(client, 10)).size === 1, 'it is left out');
    expect(asked[0]).toBe(hostnameOf('web'));
    isIll = false;
    await until(async () => (await bodies(client, 10)).size === 2, 'it is in again');
    network.endpoint({ name: 'web-dead', service: 'web', ip: '127.0.0.5', port: 1 });
    await policy(network, { healthCheck: { tcp: true, ...check } });
    await until(async () => (await client.request(WEB)).status === 200, 'somebody is well');
    for (const status of await statuses(client, 20)) expect(status).toBe(200);
  });

  test('known by name alone are found by DNS', async () => {
    const backend = await web('127.0.0.1');
    const network = await networkOf([]);
    const ports = [{ servicePort: 80, targetPort: backend.port, appProtocol: AppProtocol.UNKNOWN }];
    network.controlPlane.workload({
      uid: 'Kubernetes/networking.istio.io/ServiceEntry/shop/web/localhost',
      name: 'localhost',
      namespace: NAMESPACE,
      hostname: 'localhost',
      services: new Map([[`${NAMESPACE}/${hostnameOf('web')}`, { ports }]]),
    });
    await inForce(network);
    expect((await (await network.client()).request(WEB)).body).toBe('127.0.0.1');
  });

  test.each([
    {
      what: 'in another network',
      fields: { network: 'far', addresses: [Uint8Array.of(127, 0, 0, 1)] },
      why: 'is in network far, and this waypoint is not',
    },
  ])('$what are not reached, and it is said why', async ({ fields, why }) => {
    const backend = await web('127.0.0.1');
    const network = await networkOf([]);
    const ports = [{ servicePort: 80, targetPort: backend.port, appProtocol: AppProtocol.UNKNOWN }];
    network.controlPlane.workload({
      uid: 'Kubernetes//Pod/shop/beyond',
      name: 'beyond',
      namespace: NAMESPACE,
      ...fields,
      services: new Map([[`${NAMESPACE}/${hostnameOf('web')}`, { ports }]]),
    });
    await inForce(network);
    expect((await (await network.client()).request(WEB)).status).toBe(503);
    expect(backend.connections).toBe(0);
    expect((await network.page('admin', '/config_dump?part=destinations')).body).toContain(why);
  });

  test('chosen by the client itself are where its connection goes', async () => {
    const backend = await web('127.0.0.7');
    const network = await networkOf([]);
    const address = bytesOfIp('127.0.0.0');
    if (!address) throw new Error('no address');
    network.controlPlane.service({
      name: 'outside',
      namespace: NAMESPACE,
      hostname: 'outside.test',
      addresses: [{ network: '', address: bytesOfIp('198.51.100.0') ?? address, length: 24 }],
      ports: [{ servicePort: 80, targetPort: backend.port, appProtocol: AppProtocol.HTTP11 }],
      waypoint: {
        destination: {
          $case: 'hostname',
          value: { namespace: NAMESPACE, hostname: hostnameOf('waypoint') },
        },
        hboneMtlsPort: 15008,
      },
      loadBalancing: { routingPreference: [], mode: LoadBalancingMode.PASSTHROUGH, healthPolicy: 0 },
    });
    await inForce(network);
    // Nobody is at 198.51.100.7: what counts is that it was tried, and not another.
    const client = await network.client();
    await policy(network, { connectionPool: { connectTimeoutMs: 50 } }, 'outside');
    const response = await client.request('198.51.100.7:80');
    expect(response.status).toBe(503);
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toMatch(
      /istio_requests_total\{[^}]*destination_service="outside.test"[^}]*response_flags="[^"]*UF/,
    );
  });
});

async function statuses(client: Client, count: number): Promise<readonly number[]> {
  const seen: number[] = [];
  for (let i = 0; i < count; i++) seen.push((await client.request(WEB)).status);
  return seen;
}

describe('a session', () => {
  test('leads back to the endpoint that served it first', async () => {
    const network = await networkOf([await web('127.0.0.2'), await web('127.0.0.3'), await web('127.0.0.4')]);
    network.controlPlane.set('HttpRoute', `HTTPRoute/${NAMESPACE}/r`, {
      origin: { kind: 'HTTPRoute', namespace: NAMESPACE, name: 'r', createdMs: 1n },
      parents: [{ namespace: NAMESPACE, hostname: hostnameOf('web'), port: 0 }],
      rules: [
        {
          backends: [
            {
              target: {
                $case: 'service',
                value: { namespace: NAMESPACE, hostname: hostnameOf('web'), port: 80 },
              },
              weight: 1,
            },
          ],
          session: { sessionName: 'seat', kind: 0 },
        },
      ],
    });
    await inForce(network);
    const client = await network.client();
    const first = await client.request(WEB);
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^seat=/);
    const headers = { cookie: cookie.split(';')[0] ?? '' };
    expect([...(await bodies(client, 20, headers))]).toEqual([[first.body, 20]]);
  });
});

describe('a mirror', () => {
  test('gets a copy, body and all, and nobody waits for it', async () => {
    const copies: { host: string | undefined; body: string }[] = [];
    const shadow = await web('127.0.0.3', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        copies.push({ host: request.headers.host, body: Buffer.concat(chunks).toString() });
        // Its answer never comes.
        response.writeHead(200);
        response.flushHeaders();
      });
    });
    const network = await networkOf([
      await web('127.0.0.2', (request, response) => {
        request.pipe(response);
      }),
    ]);
    network.service({ name: 'shadow', vip: '10.9.0.3', attached: false });
    network.endpoint({ name: 'shadow-0', service: 'shadow', ip: shadow.ip, port: shadow.port });
    const to = (service: string) => ({ namespace: NAMESPACE, hostname: hostnameOf(service), port: 80 });
    network.controlPlane.set('HttpRoute', `HTTPRoute/${NAMESPACE}/r`, {
      origin: { kind: 'HTTPRoute', namespace: NAMESPACE, name: 'r', createdMs: 1n },
      parents: [{ ...to('web'), port: 0 }],
      rules: [
        {
          filters: [{ kind: { $case: 'mirror', value: { service: to('shadow') } } }],
          backends: [{ target: { $case: 'service', value: to('web') }, weight: 1 }],
        },
      ],
    });
    await inForce(network);
    const client = await network.client();
    const body = 'x'.repeat(100_000);
    const response = await client.request(WEB, { method: 'POST', headers: { host: 'app.test:8080' }, body });
    expect([response.status, response.body.length]).toEqual([200, 100_000]);
    await until(() => copies.length === 1, 'the copy is there');
    expect(copies).toEqual([{ host: 'app.test-shadow:8080', body }]);
    shadow.cut();
    await shadow[Symbol.asyncDispose]();
    expect((await client.request(WEB, { method: 'POST', body: 'still' })).body).toBe('still');
  });
});

describe('TLS that the waypoint begins', () => {
  async function secureBackend(ip: string, dnsName: string) {
    const ca = await createSelfSignedCa({ clock: systemClock });
    const { certificatePem, keys } = await ca.issueServer({ dnsNames: [dnsName] });
    const names: (string | false | null)[] = [];
    const options = {
      cert: certificatePem,
      key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      ALPNProtocols: ['http/1.1'],
    };
    const backend = use(
      await tcpBackend(ip, (socket: Socket) => {
        const server = createTlsServer(options, (tls: TLSSocket) => {
          names.push(tls.servername);
          tls.on('error', () => undefined);
          tls.on('data', () => tls.write('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecure'));
        });
        server.on('tlsClientError', () => undefined);
        server.emit('connection', socket);
      }),
    );
    return { backend, names, roots: ca.material.rootsPem.join('') };
  }

  test.each([{ tunnelled: false }, { tunnelled: true }])(
    'proves its peer by name and root (tunnelled: $tunnelled)',
    async ({ tunnelled }) => {
      const { backend, names, roots } = await secureBackend('127.0.0.2', 'secure.test');
      const node = use(await startNode('127.0.0.2', identityOf('web-0'), 0));
      const network = await networkOf([], { hbonePort: node.port });
      network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: backend.port, tunnelled });
      const client = await network.client();
      await policy(network, { tls: { sni: 'secure.test', caCertificates: roots } });
      const good = await client.request(WEB);
      expect([good.status, good.body, names]).toEqual([200, 'secure', ['secure.test']]);
      await policy(network, { tls: { sni: 'other.test', caCertificates: roots } });
      const otherName = await client.request(WEB);
      expect([otherName.status, otherName.body]).toMatchObject([503, expect.stringMatching('tls failure')]);
      await policy(network, { tls: { sni: 'secure.test' } });
      const otherRoot = await client.request(WEB);
      expect([otherRoot.status, otherRoot.body]).toMatchObject([503, expect.stringMatching('tls failure')]);
      await policy(network, {
        tls: { sni: 'x.test', caCertificates: roots, subjectAltNames: ['secure.test'] },
      });
      expect((await client.request(WEB)).body).toBe('secure');
      await policy(network, { tls: { sni: 'x.test', insecureSkipVerify: true } });
      expect((await client.request(WEB)).body).toBe('secure');
    },
  );
});

describe('TLS in which the waypoint proves itself', () => {
  const pem = ({ privateKey }: { readonly privateKey: KeyObject }) =>
    privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

  /** Wants a certificate of `ca`, and tells the name that it proves. */
  async function wantingBackend(ca: CertificateAuthority) {
    const { certificatePem: cert, keys } = await ca.issueServer({ dnsNames: ['secure.test'] });
    const roots = ca.material.rootsPem.join('');
    const options = { cert, key: pem(keys), ca: roots, requestCert: true, maxVersion: 'TLSv1.2' as const };
    return use(
      await tcpBackend('127.0.0.2', (socket: Socket) => {
        const server = createTlsServer(options, (tls: TLSSocket) => {
          const { subjectaltname: name = '' } = tls.getPeerCertificate();
          tls.on('error', () => undefined);
          tls.on('data', () =>
            tls.end(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${name.length}\r\n\r\n${name}`),
          );
        });
        server.on('tlsClientError', () => undefined);
        server.emit('connection', socket);
      }),
    );
  }

  test('by a Secret that is mounted, or by files; what is missing is said and comes by itself', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-credentials-'));
    use({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
    const ca = await createSelfSignedCa({ clock: systemClock });
    const put = async (name: string) => {
      const keys = await generateKeys();
      const [notBeforeMs, notAfterMs] = [Date.now() - 60_000, Date.now() + 3_600_000];
      const leaf = { names: { dnsNames: [name] }, publicKey: keys.publicKey, notBeforeMs, notAfterMs };
      const certificatePem = await createLeaf(leaf, ca.material.signer);
      mkdirSync(join(folder, 'bank'), { recursive: true });
      writeFileSync(join(folder, 'bank', 'tls.crt'), certificatePem);
      writeFileSync(join(folder, 'bank', 'tls.key'), pem(keys));
      writeFileSync(join(folder, 'bank', 'ca.crt'), ca.material.rootsPem.join(''));
    };
    const network = await networkOf([await wantingBackend(ca)], { credentials: folder });
    const client = await network.client();
    const sni = 'secure.test';
    const byCredential = { sni, credential: { name: 'bank', mutual: true } };
    await policy(network, { tls: byCredential });
    const missing = await client.request(WEB);
    expect([missing.status, missing.body]).toMatchObject([
      503,
      expect.stringMatching('tls material unusable'),
    ]);
    expect(missing.body).not.toContain(folder);
    await put('asker.test');
    const { body } = await eventuallyFine(() => client.request(WEB));
    expect(body).toBe('DNS:asker.test');
    // Renewed, without a change of the policy.
    await put('renewed.test');
    const renewed = () => client.request(WEB).then(({ body: name }) => name === 'DNS:renewed.test');
    await until(renewed, 'the new certificate is shown');
    await policy(network, {
      tls: {
        sni,
        files: {
          clientCertificate: join(folder, 'bank', 'tls.crt'),
          privateKey: join(folder, 'bank', 'tls.key'),
          caCertificates: join(folder, 'bank', 'ca.crt'),
        },
      },
    });
    expect((await client.request(WEB)).body).toBe('DNS:renewed.test');
    // Who proves nothing is cut off.
    await policy(network, { tls: { sni, insecureSkipVerify: true } });
    expect((await client.request(WEB)).status).toBe(503);
    await policy(network, { tls: { ...byCredential, sni: 'other.test' } });
    expect((await client.request(WEB)).body).toMatch('tls failure');
  });

  async function eventuallyFine<T extends { readonly status: number }>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      const answer = await ask();
      if (answer.status === 200) return answer;
      await systemClock.sleep(200);
    }
  }
});

describe('the PROXY protocol', () => {
  test('tells an endpoint whose connection it is', async () => {
    const heads: string[] = [];
    const backend = use(
      await tcpBackend('127.0.0.2', (socket: Socket) => {
        socket.once('data', (bytes: Buffer) => {
          heads.push(bytes.toString('latin1').split('\r\n')[0] ?? '');
          socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        });
      }),
    );
    const network = await networkOf([backend]);
    await policy(network, { proxyProtocol: 1 });
    expect((await (await network.client()).request(WEB)).body).toBe('ok');
    expect(heads).toEqual(['PROXY TCP4 127.0.0.1 10.9.0.1 0 80']);
    network.service({ name: 'db', vip: '10.9.0.2', protocol: AppProtocol.TCP });
    network.endpoint({ name: 'db-0', service: 'db', ip: backend.ip, port: backend.port });
    await policy(network, { proxyProtocol: 1 }, 'db');
    const duplex = await (await network.client()).connect('10.9.0.2:80');
    duplex.write('hello');
    await once(duplex, 'data');
    expect(heads.at(-1)).toBe('PROXY TCP4 127.0.0.1 10.9.0.2 0 80');
  });

  test.each([
    { version: 1, first: Buffer.from('PROXY UNKNOWN\r\n') },
    { version: 2, first: Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex') },
  ])('of version $version says of health checks that they are nobody else’s', async ({ version, first }) => {
    const heard: Buffer[] = [];
    const backend = use(
      await tcpBackend('127.0.0.2', (socket: Socket) => {
        socket.once('data', (bytes: Buffer) => {
          heard.push(bytes);
          socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        });
      }),
    );
    const network = await networkOf([backend]);
    const healthCheck = { path: '/healthz', intervalMs: 30, timeoutMs: 30_000 };
    await policy(network, { proxyProtocol: version, healthCheck });
    await (await network.client()).request(WEB);
    const checks = () => heard.filter((bytes) => bytes.includes('GET /healthz '));
    await until(() => checks().length > 0, 'a health check has come');
    expect(checks()[0]?.subarray(0, first.length)).toEqual(first);
    expect(String(checks()[0]?.subarray(first.length))).toMatch(/^GET \/healthz HTTP\/1\.1\r\n/);
  });
});

describe('connections', () => {
  test('carry no more requests at a time than the policy says', async () => {
    const open = new Map<Http2Session, number>();
    let most = 0;
    const waiting: (() => void)[] = [];
    const backend = use(
      await http2Backend('127.0.0.2', (stream) => {
        const { session } = stream;
        if (!session) return;
        const now = (open.get(session) ?? 0) + 1;
        open.set(session, now);
        most = Math.max(most, now);
        waiting.push(() => {
          open.set(session, (open.get(session) ?? 1) - 1);
          stream.respond({ ':status': 200 });
          stream.end('done');
        });
      }),
    );
    const network = use(await startWaypoint());
    network.service({ name: 'web', vip: '10.9.0.1', protocol: AppProtocol.HTTP2 });
    network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
    await policy(network, { connectionPool: { maxConcurrentStreams: 2 } });
    const client = await network.client();
    const asked = Array.from({ length: 6 }, () => client.request(WEB));
    await until(() => waiting.length === 6, 'all six are there');
    expect([most, open.size]).toEqual([2, 3]);
    for (const answer of waiting) answer();
    expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(
      Array.from({ length: 6 }, () => 'done'),
    );
  });

  test('end when their destination changes how they are made, with what is under way', async () => {
    const waiting: ServerResponse[] = [];
    const backend = await web('127.0.0.2', (request, response) => {
      if (request.url === '/slow') waiting.push(response);
      else response.end('ok');
    });
    const network = await networkOf([backend]);
    const client = await network.client();
    const slow = client.request(WEB, { path: '/slow' });
    await until(() => waiting.length === 1, 'it is under way');
    await policy(network, { connectionPool: { maxRequestsPerConnection: 1 } });
    for (let i = 0; i < 3; i++) expect((await client.request(WEB)).body).toBe('ok');
    expect(backend.connections).toBe(4);
    waiting[0]?.end('slow');
    expect((await slow).body).toBe('slow');
  });
});

describe('a connection to an endpoint', () => {
  const cases: Record<string, { pool: NonNullable<Policy['connectionPool']>; connections: number }> = {
    'is kept, if nobody says otherwise': { pool: {}, connections: 1 },
    'is idle as long as it may be': { pool: { idleTimeoutMs: 100n }, connections: 2 },
    'lives as long as it may': { pool: { maxConnectionDurationMs: 100n }, connections: 2 },
  };
  test.each(Object.entries(cases))('%s', async (_, { pool, connections }) => {
    const backend = await web('127.0.0.2');
    const network = await networkOf([backend]);
    await policy(network, { connectionPool: pool });
    const client = await network.client();
    expect((await client.request(WEB)).status).toBe(200);
    // Longer than it may live; those that are idle are looked for every two seconds.
    await systemClock.sleep(UPSTREAM_SWEEP_MS + 300);
    expect([(await client.request(WEB)).status, backend.connections]).toEqual([200, connections]);
  });
});
