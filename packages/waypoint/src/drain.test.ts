import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { AppProtocol } from '@ambit/api/workload';
import { type Clock, systemClock } from '@ambit/core/clock';
import { DRAIN_ANNOUNCE_MS } from './limits.ts';
import { httpBackend, tcpBackend } from './testing/backend.ts';
import { testScope } from './testing/scope.ts';
import { closed, until } from './testing/until.ts';
import { startWaypoint } from './testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';

/** Its end is announced until `announced` is called, and there is time for the rest. */
async function networkWith(handler: (path: string, response: ServerResponse) => void, drainSeconds = 60) {
  const announcement = Promise.withResolvers<void>();
  const sleptMs: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) => {
      sleptMs.push(ms);
      return ms === DRAIN_ANNOUNCE_MS ? announcement.promise : systemClock.sleep(ms, signal);
    },
  };
  const backend = use(
    await httpBackend('127.0.0.2', (request, response) => handler(request.url ?? '', response)),
  );
  const network = use(
    await startWaypoint({ clock, env: { TERMINATION_DRAIN_DURATION_SECONDS: `${drainSeconds}` } }),
  );
  network.service({ name: 'web', vip: '10.9.0.1' });
  network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: backend.port });
  return { network, announced: announcement.resolve, sleptMs };
}

describe('a waypoint that ends', () => {
  test('is not ready at once, lets requests end, and tells their connections that it goes', async () => {
    let slow: ServerResponse | undefined;
    const { network, announced } = await networkWith((path, response) => {
      if (path === '/slow') slow = response;
      else response.end('quick');
    });
    const client = await network.client();
    const waiting = client.request(WEB, { path: '/slow' });
    await until(() => slow !== undefined, 'the request is under way');
    const stopped = network.app.stop();
    expect((await network.page('readiness', '/healthz/ready')).body).toBe('not ready, pending: draining\n');
    slow?.end('slow');
    const response = await waiting;
    expect([response.body, response.headers.connection]).toEqual(['slow', 'close']);
    announced();
    await stopped;
  });

  test('still takes who has not heard, and tells tunnels to go elsewhere', async () => {
    // Connections that are kept without a request stay nearly as long as they may.
    const { network, announced } = await networkWith((_, response) => response.end('ok'), 6);
    const before = await network.client();
    await before.request(WEB);
    const stopped = network.app.stop();
    await until(() => !before.isTunnelOpen, 'the tunnel is told');
    const late = await network.client();
    expect((await late.request(WEB)).body).toBe('ok');
    announced();
    await stopped;
  });

  test('lets requests end that came while it was announced, although nothing was open before', async () => {
    let slow: ServerResponse | undefined;
    const { network, announced } = await networkWith((_, response) => {
      slow = response;
    });
    const client = await network.client();
    const stopped = network.app.stop();
    const waiting = client.request(WEB);
    await until(() => slow !== undefined, 'the request is under way');
    announced();
    await systemClock.sleep(100);
    slow?.end('slow');
    expect((await waiting).body).toBe('slow');
    await stopped;
  });

  test('loses no request of clients that go on asking, each on a kept connection', async () => {
    const { network: first, announced } = await networkWith((_, response) => response.end('ok'));
    const { network: second } = await networkWith((_, response) => response.end('ok'));
    let isOver = false;
    const outcomes: string[] = [];
    const ask = async () => {
      let client = await first.client();
      while (!isOver) {
        // As a node does: a tunnel that takes no more streams is replaced, by one to whoever is there.
        if (!client.isTunnelOpen) client = await second.client();
        outcomes.push(await client.request(WEB).then(({ body }) => body, String));
      }
    };
    const asking = Array.from({ length: 8 }, ask);
    await until(() => outcomes.length > 100, 'requests are under way');
    const stopped = first.app.stop();
    const before = outcomes.length;
    await until(() => outcomes.length > before + 100, 'they go on while it is announced');
    announced();
    await stopped;
    isOver = true;
    await Promise.all(asking);
    expect(new Set(outcomes)).toEqual(new Set(['ok']));
  });

  test('lets HTTP/2 know without losing a stream', async () => {
    let slow: ServerResponse | undefined;
    const { network, announced } = await networkWith((path, response) => {
      if (path === '/slow') slow = response;
      else response.end('ok');
    });
    const session = await (await network.client()).http2(WEB);
    const stream = session.request({ ':path': '/slow' });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = once(stream, 'end');
    const goaway = once(session, 'goaway');
    await until(() => slow !== undefined, 'the request is under way');
    const stopped = network.app.stop();
    await goaway;
    slow?.end('slow');
    await ended;
    announced();
    expect(String(Buffer.concat(chunks))).toBe('slow');
    await stopped;
  });

  test('cuts what does not end in time', async () => {
    const backend = use(await tcpBackend('127.0.0.3', (socket) => void socket.resume()));
    const { network, sleptMs } = await networkWith((_, response) => void response, 1);
    network.service({ name: 'db', vip: '10.9.0.3', protocol: AppProtocol.TCP });
    network.endpoint({ name: 'db-0', service: 'db', ip: '127.0.0.3', port: backend.port });
    const client = await network.client();
    const duplex = await client.connect('10.9.0.3:80');
    duplex.write('x');
    await until(() => backend.connections === 1, 'it is carried');
    await network.app.stop();
    await closed(duplex.resume());
    // Half of the time for those who have not heard, where that is less than it takes otherwise.
    expect(sleptMs).toContain(500);
  });

  test('with nothing open stays a moment, for who comes', async () => {
    const { network, announced } = await networkWith((_, response) => response.end('ok'));
    let isStopped = false;
    const stopped = network.app.stop().then(() => {
      isStopped = true;
    });
    const client = await network.client();
    expect([(await client.request(WEB)).body, isStopped]).toEqual(['ok', false]);
    announced();
    await stopped;
  });
});
