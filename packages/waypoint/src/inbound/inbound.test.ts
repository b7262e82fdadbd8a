import { once } from 'node:events';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { AuthorizationAction } from '@ambit/api/waypoint';
import { AppProtocol } from '@ambit/api/workload';
import { type Clock, systemClock } from '@ambit/core/clock';
import { CONNECT_TIMEOUT_MS } from '../limits.ts';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { MeshWaits } from '@ambit/model/mesh-waits';
import { Admission } from '../exchange/admission.ts';
import { ByteStreams } from '../stream/stream-service.ts';
import { httpBackend, tcpBackend } from '../testing/backend.ts';
import { openClient } from '../testing/client.ts';
import { closed, until } from '../testing/until.ts';
import {
  ALICE,
  NAMESPACE,
  startWaypoint,
  WAYPOINT_IDENTITY,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

function use<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}

async function networkWith(protocol: AppProtocol, onConnection: Parameters<typeof tcpBackend>[1]) {
  const backend = use(await tcpBackend('127.0.0.2', onConnection));
  const network = use(await startWaypoint());
  network.service({ name: 'db', vip: '10.9.0.1', protocol });
  network.endpoint({ name: 'db-0', service: 'db', ip: '127.0.0.2', port: backend.port });
  return { network, backend };
}

async function connect(network: WaypointNetwork, authority = '10.9.0.1:80'): Promise<Duplex> {
  return await (await network.client()).connect(authority);
}

async function readAll(duplex: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<void>((resolve) => void duplex.once('end', () => resolve()));
  await Promise.race([ended, closed(duplex)]);
  return Buffer.concat(chunks).toString();
}

describe('a tunnel', () => {
  test('leads to nothing but what uses this waypoint', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    network.service({ name: 'other', vip: '10.9.0.2', attached: false });
    const client = await network.client();
    const statusOf = async (authority: string) =>
      await client.connect(authority).then(
        (duplex) => {
          duplex.destroy();
          return '200';
        },
        (error: Error) => error.message,
      );
    expect(await statusOf('10.9.0.1:80')).toBe('200');
    for (const authority of [
      '10.9.0.1:81',
      '10.9.0.2:80',
      '10.0.0.9:15000',
      '127.0.0.1:15000',
      '10.7.7.7:80',
    ])
      expect([authority, await statusOf(authority)]).toEqual([authority, 'http status: 404']);
    for (const authority of ['db.shop.svc.cluster.local:80', 'nonsense', '10.9.0.1'])
      expect([authority, await statusOf(authority)]).toEqual([authority, 'http status: 400']);
  });

  test('waits a moment for a service that its client knows already', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const client = await network.client();
    const connecting = client.connect('10.9.0.7:80');
    network.service({ name: 'late', vip: '10.9.0.7', protocol: AppProtocol.TCP });
    (await connecting).destroy();
  });

  test('that waits ends by a fault in what it waits for, and no other does', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const client = await network.client();
    const broken = jest
      .spyOn(MeshWaits.prototype, 'until')
      .mockRejectedValueOnce(new TypeError('nobody thought of it'));
    try {
      await expect(client.connect('10.9.0.7:80')).rejects.toThrow('INTERNAL_ERROR');
      (await client.connect('10.9.0.1:80')).destroy();
    } finally {
      broken.mockRestore();
    }
  });

  test('that ends by a fault before somebody carries it counts no longer', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const client = await network.client();
    const ended = jest.spyOn(Admission.prototype, 'endConnection');
    const broken = jest.spyOn(ByteStreams.prototype, 'serve').mockImplementationOnce(() => {
      throw new TypeError('nobody thought of it');
    });
    try {
      const connecting = client.connect('10.9.0.1:80').then(closed, () => undefined);
      await until(() => ended.mock.calls.length === 1, 'it is counted no longer');
      await connecting;
      (await client.connect('10.9.0.1:80')).destroy();
      await until(() => ended.mock.calls.length === 2, 'nor the next one');
    } finally {
      broken.mockRestore();
      ended.mockRestore();
    }
  });

  test('is closed to who is of another trust domain, unless that is an alias', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const foreign = 'spiffe://other.test/ns/shop/sa/alice';
    const client = await network.client(foreign);
    await expect(client.connect('10.9.0.1:80')).rejects.toThrow();
    network.controlPlane.set('MeshSettings', 'default', {
      trustDomain: 'cluster.local',
      trustDomainAliases: ['other.test'],
    });
    for (;;) {
      const again = await network.client(foreign);
      const answer = await again.connect('10.9.0.1:80').catch(() => undefined);
      if (answer) break;
    }
  });

  test('is opened by nobody who proves nothing', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const socket = connectTls({
      port: network.app.ports.inbound,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    await closed(socket);
  });

  test('that expects somebody else gets nowhere', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const options = { port: network.app.ports.inbound, identity: ALICE, expect: `${WAYPOINT_IDENTITY}-2` };
    await expect(openClient(options)).rejects.toThrow('identity verification error');
  });
});

describe('a connection that is no HTTP', () => {
  test('is carried both ways, each ending by itself', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => {
      socket.once('end', () => socket.end('late answer'));
      socket.resume();
    });
    const duplex = await connect(network);
    const all = readAll(duplex);
    duplex.end('question');
    expect(await all).toBe('late answer');
  });

  test('on a port that declares nothing is carried when the server speaks first', async () => {
    const { network } = await networkWith(AppProtocol.UNKNOWN, (socket) => {
      socket.write('220 ready\r\n');
      socket.once('data', () => socket.end('221 bye\r\n'));
    });
    const duplex = await connect(network);
    const all = readAll(duplex);
    await once(duplex, 'data');
    duplex.end('QUIT\r\n');
    expect(await all).toBe('220 ready\r\n221 bye\r\n');
  });

  test('on a port that declares nothing is carried when it only looks like HTTP', async () => {
    const { network } = await networkWith(AppProtocol.UNKNOWN, (socket) => socket.pipe(socket));
    const duplex = await connect(network);
    const all = readAll(duplex);
    duplex.end('GET key\r\n');
    expect(await all).toBe('GET key\r\n');
  });

  test('ends at both sides when either breaks', async () => {
    let broken = false;
    const { network, backend } = await networkWith(AppProtocol.TCP, (socket) => {
      socket.once('close', () => {
        broken = true;
      });
      socket.write('x');
    });
    const first = await connect(network);
    await once(first, 'data');
    backend.cut();
    await closed(first.resume());
    broken = false;
    const second = await connect(network);
    await once(second, 'data');
    second.destroy(new Error('gone'));
    await until(() => broken, 'the server has seen it');
  });

  test('is told of: opened, closed, and how much went each way', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const duplex = await connect(network);
    const all = readAll(duplex);
    duplex.end('12345');
    await all;
    const metrics = async () => (await network.page('stats', '/stats/prometheus')).body;
    const labels = '\\{[^}]*reporter="waypoint"[^}]*destination_service="db.shop.svc.cluster.local"[^}]*\\}';
    // The client has seen the end before both sides are gone.
    const isClosed = new RegExp(`istio_tcp_connections_closed_total${labels} 1`);
    await until(async () => isClosed.test(await metrics()), 'the end is told of');
    const body = await metrics();
    expect(body).toMatch(new RegExp(`istio_tcp_connections_opened_total${labels} 1`));
    expect(body).toMatch(new RegExp(`istio_tcp_received_bytes_total${labels} 5`));
    expect(body).toMatch(new RegExp(`istio_tcp_sent_bytes_total${labels} 5`));
  });
});

describe('a policy that comes', () => {
  const deny = (network: WaypointNetwork) =>
    network.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/no`, {
      origin: { kind: 'AuthorizationPolicy', namespace: NAMESPACE, name: 'no', createdMs: 1n },
      targets: [{ kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } }],
      action: AuthorizationAction.DENY,
      rules: [{ to: [{ ports: ['80'] }] }],
    });

  test('ends a connection that it would not let in', async () => {
    const { network } = await networkWith(AppProtocol.TCP, (socket) => socket.pipe(socket));
    const duplex = await connect(network);
    duplex.write('x');
    await once(duplex, 'data');
    deny(network);
    await closed(duplex.resume());
  });

  test('while the endpoint is dialled lets nothing through', async () => {
    const silent = use(await tcpBackend('127.0.0.2', () => undefined));
    // The endpoint is never given up.
    const clock: Clock = {
      ...systemClock,
      after: (ms, run) => systemClock.after(ms < CONNECT_TIMEOUT_MS ? ms : 3_600_000, run),
    };
    const network = use(await startWaypoint({ hbonePort: silent.port, clock }));
    network.service({ name: 'db', vip: '10.9.0.1', protocol: AppProtocol.TCP });
    network.endpoint({ name: 'db-0', service: 'db', ip: '127.0.0.2', port: 80, tunnelled: true });
    const duplex = await connect(network);
    await until(() => silent.connections === 1, 'the endpoint is dialled');
    deny(network);
    await closed(duplex.resume());
  });
});

describe('TLS that is passed through', () => {
  async function tlsBackend(ip: string, name: string) {
    const ca = await createFakeCa({ clock: systemClock });
    const { chainPem, privateKey } = await ca.issueWorkload(`spiffe://cluster.local/ns/shop/sa/${name}`);
    const options = {
      cert: chainPem.join(''),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    };
    return await tcpBackend(ip, (socket) => {
      const server = createTlsServer(options, (tls: TLSSocket) => tls.end(`this is ${name}`));
      server.emit('connection', socket);
    });
  }

  test('goes where its name says, and nowhere with another', async () => {
    const network = use(await startWaypoint());
    for (const [i, name] of ['blue', 'green'].entries()) {
      const backend = use(await tlsBackend(`127.0.0.${i + 2}`, name));
      network.service({ name, vip: `10.9.0.${i + 2}`, protocol: AppProtocol.TLS, attached: false });
      network.endpoint({ name: `${name}-0`, service: name, ip: backend.ip, port: backend.port });
    }
    network.service({ name: 'front', vip: '10.9.0.1', protocol: AppProtocol.TLS });
    const parent = { namespace: 'shop', hostname: 'front.shop.svc.cluster.local', port: 0 };
    for (const name of ['blue', 'green']) {
      network.controlPlane.set('StreamRoute', `TLSRoute/shop/${name}`, {
        origin: { kind: 'TLSRoute', namespace: 'shop', name, createdMs: 1n },
        parents: [parent],
        rules: [
          {
            tls: true,
            sniHosts: [`${name}.test`],
            backends: [
              {
                target: {
                  $case: 'service',
                  value: { namespace: 'shop', hostname: `${name}.shop.svc.cluster.local`, port: 80 },
                },
                weight: 1,
              },
            ],
          },
        ],
      });
    }
    const ask = async (servername: string): Promise<string> => {
      const socket = await connect(network);
      const tls = connectTls({ socket, servername, rejectUnauthorized: false });
      const all = await readAll(tls);
      tls.destroy();
      return all;
    };
    await until(async () => (await ask('blue.test')) !== '', 'the routes are here');
    expect([await ask('blue.test'), await ask('green.test'), await ask('red.test')]).toEqual([
      'this is blue',
      'this is green',
      '',
    ]);
  });
});

describe('where policies look at the name that TLS asks for', () => {
  const denied = async (protocol: AppProtocol) => {
    const network = use(await startWaypoint());
    const reached: string[] = [];
    const backend = use(
      await tcpBackend('127.0.0.2', (socket) => socket.once('data', () => reached.push('x'))),
    );
    network.controlPlane.set('AuthorizationPolicy', 'shop/no', {
      origin: { kind: 'AuthorizationPolicy', namespace: 'shop', name: 'no', createdMs: 1n },
      targets: [{ kind: { $case: 'gateway', value: 'shop/waypoint' } }],
      action: AuthorizationAction.DENY,
      rules: [{ when: [{ key: 'connection.sni', values: ['secret.test'] }] }],
    });
    network.service({ name: 'db', vip: '10.9.0.1', protocol });
    network.endpoint({ name: 'db-0', service: 'db', ip: '127.0.0.2', port: backend.port });
    return { network, reached };
  };

  /** What a TLS client says first. */
  const helloFor = async (servername: string): Promise<Buffer> => {
    const [client, server] = duplexPair();
    connectTls({ socket: client, servername }).on('error', () => undefined);
    const [hello] = (await once(server, 'data')) as [Buffer];
    return hello;
  };

  test.each([
    ['declared as TLS', AppProtocol.TLS],
    ['declared as TCP', AppProtocol.TCP],
    ['declaring nothing', AppProtocol.UNKNOWN],
  ])('nobody gets past them by asking late, or bit by bit: a port %s', async (_, protocol) => {
    const { network, reached } = await denied(protocol);
    const hello = await helloFor('secret.test');
    const late = await connect(network);
    await systemClock.sleep(2_500);
    late.write(hello);
    const slow = await connect(network);
    for (const octet of hello) slow.write(Buffer.from([octet]));
    await closed(late.resume());
    await closed(slow.resume());
    expect(reached).toEqual([]);
    const fine = await connect(network);
    fine.write(await helloFor('public.test'));
    await until(() => reached.length === 1, 'another name gets through');
    fine.destroy();
  });
});

describe('HTTP on a port that declares nothing', () => {
  test('is HTTP', async () => {
    const backend = use(await httpBackend('127.0.0.2', (_, response) => response.end('yes')));
    const network = use(await startWaypoint());
    network.service({ name: 'web', vip: '10.9.0.1', protocol: AppProtocol.UNKNOWN });
    network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
    const client = await network.client();
    const response = await client.request('10.9.0.1:80');
    expect([response.status, response.body]).toEqual([200, 'yes']);
    expect(response.headers['x-envoy-upstream-service-time']).toBeDefined();
  });
});
