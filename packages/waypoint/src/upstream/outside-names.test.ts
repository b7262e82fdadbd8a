/** Names that clients bring below a wildcard: where they lead, and where they may not. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTlsServer, connect as connectTls, type TLSSocket } from 'node:tls';
import { describe, expect, test } from '@jest/globals';
import { AppProtocol } from '@ambit/api/workload';
import { type Clock, systemClock } from '@ambit/core/clock';
import { bytesOfIp } from '@ambit/core/ip';
import { RESOLVE_TIMEOUT_MS } from '@ambit/core/names';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { httpBackend, tcpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import { LOOKUP_SHARE, LOOKUPS_IN_FLIGHT } from '../limits.ts';
import {
  ALICE,
  identityOf,
  NAMESPACE,
  startWaypoint,
  WAYPOINT,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';
import type { Client } from '../testing/client.ts';
import { outsideLookup } from './outside-names.ts';

const use = testScope();
const VIP = '10.9.0.9';
const WILD = '*.example.test';
const OUTSIDE = '127.0.0.2';
const POD = '10.0.0.77';
const NO_ENDPOINT = '503 UH no_healthy_upstream';
const OVERFLOW = '503 UO upstream_reset_before_response_started{overflow}\n';
/** Questions that one client may have out. */
const SHARE = LOOKUPS_IN_FLIGHT * LOOKUP_SHARE;

interface Outside {
  readonly network: WaypointNetwork;
  /** Names that were asked for. */
  readonly asked: string[];
  readonly addresses: Map<string, readonly string[] | Promise<readonly string[]>>;
}

/** A service of the wildcard, whose port leads to `targetPort` wherever a name is. */
async function outside(
  targetPort: number,
  protocol: AppProtocol = AppProtocol.HTTP11,
  clock: Clock = systemClock,
): Promise<Outside> {
  const asked: string[] = [];
  const addresses: Outside['addresses'] = new Map([
    ['a.example.test', [OUTSIDE]],
    ['b.example.test', [OUTSIDE]],
    ['loop.example.test', ['127.0.0.1']],
    ['mixed.example.test', [OUTSIDE, '127.0.0.1']],
    ['pod.example.test', [POD]],
    ['service.example.test', ['10.9.0.1']],
    ['other.test', [OUTSIDE]],
  ]);
  const network = use(
    await startWaypoint({
      clock,
      before: (controlPlane) =>
        controlPlane.set('MeshSettings', 'default', {
          ...MESH_SETTINGS,
          accessLogFile: '/dev/stdout',
          accessLogFormat: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n',
        }),
      outside: {
        lookUp: (name) => {
          asked.push(name);
          return Promise.resolve(addresses.get(name) ?? []);
        },
        mayBeAsked: (ip) => ip !== '127.0.0.1',
      },
    }),
  );
  network.service({ name: 'web', vip: '10.9.0.1' });
  network.endpoint({ name: 'web-0', service: 'web', ip: POD, port: 80 });
  network.controlPlane.service({
    name: 'wild',
    namespace: NAMESPACE,
    hostname: WILD,
    addresses: [{ network: '', address: bytesOfIp(VIP) ?? new Uint8Array(), length: undefined }],
    ports: [{ servicePort: 80, targetPort, appProtocol: protocol }],
    waypoint: WAYPOINT,
  });
  network.controlPlane.workload({
    uid: `Kubernetes/networking.istio.io/ServiceEntry/${NAMESPACE}/wild/wild`,
    name: 'wild',
    namespace: NAMESPACE,
    hostname: WILD,
    services: new Map([
      [
        `${NAMESPACE}/${WILD}`,
        { ports: [{ servicePort: 80, targetPort, appProtocol: AppProtocol.UNKNOWN }] },
      ],
    ]),
  });
  return { network, asked, addresses };
}

describe('a name that a request brings', () => {
  test('leads where name servers say, and is asked for once in a while', async () => {
    const hosts: (string | undefined)[] = [];
    const backend = use(
      await httpBackend(OUTSIDE, ({ headers }, response) => {
        hosts.push(headers.host);
        response.end('outside');
      }),
    );
    const { network, asked } = await outside(backend.port);
    const client = await network.client();
    const ask = (host: string) => client.request(`${VIP}:80`, { headers: { host } });
    for (const host of ['a.example.test', 'B.example.test:80', 'a.example.test'])
      expect(await ask(host)).toMatchObject({ status: 200, body: 'outside' });
    expect(hosts).toEqual(['a.example.test', 'B.example.test:80', 'a.example.test']);
    expect(asked).toEqual(['a.example.test', 'b.example.test']);
    // Whatever clients bring, reports have one destination.
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toMatch(/istio_requests_total\{[^}]*destination_service="\*\.example\.test"/);
    expect(body).not.toContain('a.example.test');
  });

  test.each([
    { host: 'nobody', why: 'nobody.example.test has no address', logged: '503 DF dns_failure' },
    { host: 'loop', why: 'is at 127.0.0.1, where no name may lead', logged: NO_ENDPOINT },
    { host: 'mixed', why: 'is at 127.0.0.1, where no name may lead', logged: NO_ENDPOINT },
    { host: 'pod', why: 'which the mesh knows as Kubernetes//Pod/shop/web-0', logged: NO_ENDPOINT },
    { host: 'service', why: 'which the mesh knows as shop/web.shop.svc.cluster.local', logged: NO_ENDPOINT },
  ])('leads nowhere: $host', async ({ host, why, logged }) => {
    const backend = use(await httpBackend(OUTSIDE, (_, response) => response.end('outside')));
    const { network, asked } = await outside(backend.port);
    const client = await network.client();
    const name = `${host}.example.test`;
    expect((await client.request(`${VIP}:80`, { headers: { host: name } })).status).toBe(503);
    expect(backend.connections).toBe(0);
    expect(asked).toEqual([name]);
    expect((await network.page('admin', '/config_dump?part=destinations')).body).toContain(why);
    await until(() => network.lines.join('') === `${logged}\n`, 'it is logged');
  });

  test.each(['other.test', 'example.test', '127.0.0.2'])('is none below the wildcard: %s', async (host) => {
    const backend = use(await httpBackend(OUTSIDE, (_, response) => response.end('outside')));
    const { network, asked } = await outside(backend.port);
    const client = await network.client();
    const { status, body } = await client.request(`${VIP}:80`, { headers: { host } });
    expect([status, body, asked, backend.connections]).toEqual([404, '', [], 0]);
    const query = new URLSearchParams({ destination: `${VIP}:80`, authority: host }).toString();
    const why = await network.page('admin', `/debug/why?${query}`);
    expect(why.body).toContain('no name below *.example.test is asked for');
    await until(() => network.lines.join('') === '404 NR route_not_found\n', 'it is logged');
  });

  test('leads nowhere any more once a pod has its address', async () => {
    const backend = use(await httpBackend(OUTSIDE, (_, response) => response.end('outside')));
    const { network } = await outside(backend.port);
    const client = await network.client();
    const ask = () => client.request(`${VIP}:80`, { headers: { host: 'a.example.test' } });
    expect((await ask()).status).toBe(200);
    network.endpoint({ name: 'web-1', service: 'web', ip: OUTSIDE, port: backend.port });
    await until(async () => (await ask()).status === 503, 'the address is somebody’s');
  });

  test('is asked for as its client’s, and who has its share of questions gets no further', async () => {
    const backend = use(await httpBackend(OUTSIDE, (_, response) => response.end('outside')));
    // Nobody gives up.
    const clock: Clock = {
      ...systemClock,
      sleep: (ms, signal) => systemClock.sleep(ms === RESOLVE_TIMEOUT_MS ? 3_600_000 : ms, signal),
    };
    const { network, asked, addresses } = await outside(backend.port, AppProtocol.HTTP11, clock);
    const silent = new Promise<readonly string[]>(() => undefined);
    for (let i = 0; i < SHARE; i++) addresses.set(`slow-${i}.example.test`, silent);
    const alice = await network.client(ALICE);
    const bob = await network.client(identityOf('bob'));
    const ask = (client: Client, host: string) => client.request(`${VIP}:80`, { headers: { host } });
    for (let i = 0; i < SHARE; i++) ask(alice, `slow-${i}.example.test`).catch(() => undefined);
    await until(() => asked.length === SHARE, 'all are asked for');
    expect((await ask(alice, 'a.example.test')).status).toBe(503);
    await until(() => network.lines.includes(OVERFLOW), 'it is logged');
    expect((await ask(bob, 'a.example.test')).status).toBe(200);
    expect((await ask(alice, 'a.example.test')).status).toBe(200);
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toContain(`ambit_waypoint_in_use{what="lookups"} ${SHARE}\n`);
    expect(body).toContain('ambit_waypoint_refused_total{what="lookups",reason="share"} 1\n');
  });

  test('is that of the route where that rewrites the host', async () => {
    const backend = use(await httpBackend(OUTSIDE, ({ headers }, response) => response.end(headers.host)));
    const { network } = await outside(backend.port);
    const to = { namespace: NAMESPACE, hostname: WILD, port: 80 };
    network.controlPlane.set('HttpRoute', `HTTPRoute/${NAMESPACE}/r`, {
      origin: { kind: 'HTTPRoute', namespace: NAMESPACE, name: 'r', createdMs: 1n },
      parents: [{ ...to, port: 0 }],
      rules: [
        {
          filters: [{ kind: { $case: 'rewrite', value: { hostname: 'b.example.test' } } }],
          backends: [{ target: { $case: 'service', value: to }, weight: 1 }],
        },
      ],
    });
    const client = await network.client();
    const ask = () => client.request(`${VIP}:80`, { headers: { host: 'nobody.example.test' } });
    await until(async () => (await ask()).body === 'b.example.test', 'the route');
  });
});

describe('TLS', () => {
  async function secure(dnsName: string) {
    const ca = await createSelfSignedCa({ clock: systemClock });
    const { certificatePem: cert, keys } = await ca.issueServer({ dnsNames: [dnsName] });
    const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' });
    const names: unknown[] = [];
    const backend = use(
      await tcpBackend(OUTSIDE, (socket: Socket) => {
        const server = createTlsServer({ cert, key }, (tls: TLSSocket) => {
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

  test('of a client leads where the name leads that it asks for', async () => {
    const { backend, names } = await secure('a.example.test');
    const { network } = await outside(backend.port, AppProtocol.TLS);
    const client = await network.client();
    const ask = async (servername: string): Promise<string> => {
      const socket = await client.connect(`${VIP}:80`);
      const tls = connectTls({ socket, servername, rejectUnauthorized: false });
      tls.write('hello');
      const said = await new Promise<string>((done) => {
        tls.once('data', (bytes: Buffer) => done(String(bytes)));
        tls.once('error', () => done('closed')).once('close', () => done('closed'));
      });
      tls.destroy();
      return said;
    };
    expect(await ask('a.example.test')).toContain('secure');
    expect(names).toEqual(['a.example.test']);
    for (const name of ['loop.example.test', 'pod.example.test', 'other.test'])
      expect([name, await ask(name)]).toEqual([name, 'closed']);
    expect(names).toEqual(['a.example.test']);
    const refused = [
      '0 UH no_healthy_upstream\n',
      '0 UH no_healthy_upstream\n',
      '0 NR filter_chain_not_found\n',
    ];
    await until(() => refused.every((line) => network.lines.includes(line)), 'they are logged');
  });

  test('that the waypoint begins asks for that name, and believes no other', async () => {
    const { backend, names, roots } = await secure('a.example.test');
    const { network } = await outside(backend.port);
    network.controlPlane.set('DestinationPolicy', `DestinationRule/${NAMESPACE}/wild`, {
      origin: { kind: 'DestinationRule', namespace: NAMESPACE, name: 'wild', createdMs: 1n },
      hostname: WILD,
      policy: { tls: { caCertificates: roots } },
    });
    const client = await network.client();
    const ask = (host: string) => client.request(`${VIP}:80`, { headers: { host } });
    await until(async () => (await ask('a.example.test')).body === 'secure', 'the policy');
    expect((await ask('b.example.test')).body).toMatch('tls failure');
    // Whoever is not believed is not told anything: of that handshake only the waypoint knows.
    expect(new Set(names)).toEqual(new Set(['a.example.test']));
  });
});

/** Labels of a question, each with its length before it. */
function nameIn(question: Buffer): string {
  const labels: string[] = [];
  for (let at = 0; question[at]; at += 1 + (question[at] ?? 0))
    labels.push(question.toString('latin1', at + 1, at + 1 + (question[at] ?? 0)));
  return labels.join('.');
}

/** Of the name that was asked for, which a pointer stands for; to be kept for 5 s. */
function record(type: string, ip: string): Buffer {
  const address = Buffer.from(bytesOfIp(ip) ?? []);
  const head = Buffer.from([0xc0, 12, 0, type === 'A' ? 1 : 28, 0, 1, 0, 0, 0, 5, 0, address.length]);
  return Buffer.concat([head, address]);
}

describe('name servers are asked', () => {
  /** Answers with these addresses; `undefined`: that there is no such name. */
  async function nameServer(answers: (type: string, name: string) => readonly string[] | undefined) {
    const asked: string[] = [];
    const socket = createSocket('udp4');
    use({ [Symbol.asyncDispose]: () => new Promise<void>((done) => void socket.close(() => done())) });
    socket.on('message', (query, from) => {
      const end = query.indexOf(0, 12) + 5;
      const question = query.subarray(12, end);
      const type = question.readUInt16BE(question.length - 4) === 1 ? 'A' : 'AAAA';
      const name = nameIn(question);
      asked.push(`${type} ${name}`);
      const found = answers(type, name);
      const head = Buffer.from(query.subarray(0, 12));
      head.writeUInt16BE(0x8180 | (found ? 0 : 3), 2);
      head.writeUInt16BE(found?.length ?? 0, 6);
      head.writeUInt32BE(0, 8);
      socket.send(
        Buffer.concat([head, question, ...(found ?? []).map((ip) => record(type, ip))]),
        from.port,
        from.address,
      );
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address() as AddressInfo;
    return { lookUp: outsideLookup([`127.0.0.1:${port}`]), asked };
  }

  test('for addresses of IPv4, then of IPv6, of that name and no other', async () => {
    const { lookUp, asked } = await nameServer((type, name) => {
      if (name === 'four.example.test') return type === 'A' ? ['192.0.2.1', '192.0.2.2'] : ['2001:db8::1'];
      return name === 'six.example.test' ? (type === 'AAAA' ? ['2001:db8::6'] : []) : undefined;
    });
    expect((await lookUp('four.example.test')).toSorted()).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(await lookUp('six.example.test')).toEqual(['2001:db8::6']);
    expect(await lookUp('nobody.example.test')).toEqual([]);
    expect(asked).toEqual([
      'A four.example.test',
      'A six.example.test',
      'AAAA six.example.test',
      'A nobody.example.test',
      'AAAA nobody.example.test',
    ]);
  });

  test('and no more addresses are used than some', async () => {
    const { lookUp } = await nameServer(() => Array.from({ length: 40 }, (_, i) => `192.0.2.${i}`));
    expect(await lookUp('many.example.test')).toHaveLength(16);
  });
});
