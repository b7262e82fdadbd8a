import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Endpoint } from '@ambit/core/ip';
import { FLOOD } from '@ambit/http/limits';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { DRAIN_HANDSHAKE_MS } from './limits.ts';
import { type Holder, QueueBudget } from './queue-budget.ts';
import { type ProxiedPath, type PathOptions, proxiedPath } from './testing/proxied-path.ts';
import { NOWHERE } from '@ambit/http/roster';

const open: (AsyncDisposable | Server | Socket)[] = [];
afterEach(async () => {
  for (const thing of open.splice(0)) {
    if (Symbol.asyncDispose in thing && !('listen' in thing) && !('write' in thing))
      await thing[Symbol.asyncDispose]();
    else if ('listen' in thing) thing.close();
    else (thing as Socket).destroy();
  }
});

async function application(onConnection: (socket: Socket) => void): Promise<Endpoint> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.push(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { ip: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

async function path(target: Endpoint, options: PathOptions = {}): Promise<ProxiedPath> {
  const made = await proxiedPath(target, options);
  open.push(made);
  return made;
}

function client(port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  open.push(socket);
  return socket;
}

const closed = (socket: Socket) => new Promise<void>((resolve) => void socket.once('close', () => resolve()));

async function until(holds: () => boolean, what: string, tries = 5_000): Promise<void> {
  for (let i = 0; i < tries && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  if (!holds()) throw new Error(`waited in vain until ${what}`);
}

/** Octets that depend on the seed and the position, so that a byte of another stream shows. */
function* pattern(seed: number, totalBytes: number): Generator<Buffer> {
  for (let at = 0, n = 0; at < totalBytes; n++) {
    const size = Math.min(totalBytes - at, 1 + ((seed * 7_919 + n * 104_729) % 200_000));
    const piece = Buffer.alloc(size);
    for (let i = 0; i < size; i += 4) {
      if (i + 4 <= size) piece.writeUInt32LE(((seed << 28) ^ (at + i)) >>> 0, i);
    }
    at += size;
    yield piece;
  }
}

async function send(socket: Socket, seed: number, totalBytes: number): Promise<string> {
  const hash = createHash('sha256');
  for (const piece of pattern(seed, totalBytes)) {
    hash.update(piece);
    if (!socket.write(piece)) await once(socket, 'drain');
  }
  socket.end();
  return hash.digest('hex');
}

async function receive(socket: Socket): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of socket) hash.update(piece as Buffer);
  return hash.digest('hex');
}

const echo = (socket: Socket) => void socket.pipe(socket);

describe('a connection through a tunnel', () => {
  test('carries both directions, ends each by itself, and counts what it carried', async () => {
    const proxied = await path(await application(echo));
    const socket = client(proxied.port);
    socket.end('a request of 23 octets.');
    expect(String(Buffer.concat(await socket.toArray()))).toBe('a request of 23 octets.');
    await until(() => proxied.finished.length === 2, 'both proxies have finished');
    expect(proxied.finished).toEqual([
      { side: 'inbound', error: undefined, up: 23, down: 23 },
      { side: 'outbound', error: undefined, up: 23, down: 23 },
    ]);
  });

  test('comes and goes more often than any flood may, in no time, without looking like one', async () => {
    const AT_A_TIME = 80;
    const most = Math.max(...Object.values(FLOOD).map(({ burst }) => burst));
    const proxied = await path(await application(echo), { session: { clock: new FakeClock() } });
    for (let count = 0; count <= most; count += AT_A_TIME) {
      const rounds = Array.from({ length: AT_A_TIME }, async () => {
        const socket = client(proxied.port);
        socket.end('x');
        return (await socket.toArray()).length;
      });
      expect(await Promise.all(rounds)).toEqual(Array(AT_A_TIME).fill(1));
    }
    expect(proxied.finished.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(proxied.server.openTunnels).toBe(1);
  });

  test('keeps the way back open after the client has ended', async () => {
    const target = await application((socket) => {
      socket.resume();
      socket.once('end', () => setTimeout(() => socket.end('late answer'), 50));
    });
    const socket = client((await path(target)).port);
    socket.end('done');
    expect(String(Buffer.concat(await socket.toArray()))).toBe('late answer');
  });

  test('is closed when nobody listens at the other end', async () => {
    const proxied = await path({ ip: '127.0.0.1', port: 1 });
    const socket = client(proxied.port);
    socket.resume();
    await once(socket, 'end');
    expect(proxied.pool.openTunnels).toBe(1);
  });

  test('ends when either application resets', async () => {
    const proxied = await path(await application(echo));
    const socket = client(proxied.port);
    socket.write('x');
    await once(socket, 'data');
    socket.resetAndDestroy();
    await until(() => proxied.finished.length === 2, 'both proxies have finished');
    expect(proxied.finished.map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  test('shares its tunnel with a hundred others, and their bytes stay apart', async () => {
    const proxied = await path(await application(echo));
    const rounds = Array.from({ length: 100 }, async (_, seed) => {
      const socket = client(proxied.port);
      const [sent, received] = await Promise.all([send(socket, seed, 50_000), receive(socket)]);
      return sent === received;
    });
    expect((await Promise.all(rounds)).every(Boolean)).toBe(true);
    expect(proxied.pool.openTunnels).toBeLessThanOrEqual(2);
  });
});

describe('past a stalled reader', () => {
  const TOTAL_BYTES = 24 * 1024 * 1024;

  test.each([{ direction: 'up' }, { direction: 'down' }])(
    '$direction: two pods get their own bytes and a third that stalls holds nobody up',
    async ({ direction }) => {
      let stalled: Socket | undefined;
      const digests: Promise<string>[] = [];
      /** By seed: connections come in any order. */
      const sent = new Map<number, Promise<string>>();
      const target = await application((socket) => {
        if (direction === 'up') {
          socket.once('readable', () => {
            const first: unknown = socket.read(1);
            if (first instanceof Buffer && first[0] === 0xff) stalled = socket;
            else digests.push(receive(socket));
          });
        } else {
          socket.once('data', (seed: Buffer) => {
            sent.set(seed[0] ?? 0, send(socket, seed[0] ?? 0, TOTAL_BYTES));
          });
        }
      });
      const proxied = await path(target);
      const idle = client(proxied.port);
      idle.pause();
      const slow = client(proxied.port);
      slow.write(Buffer.from([0xff]));
      if (direction === 'up') {
        await until(() => stalled !== undefined, 'the third is known');
        void send(slow, 3, TOTAL_BYTES).catch(() => undefined);
      } else slow.pause();

      const busy = [1, 2].map(async (seed) => {
        const socket = client(proxied.port);
        socket.write(Buffer.from([seed]));
        return direction === 'up' ? send(socket, seed, TOTAL_BYTES) : receive(socket);
      });
      const got = await Promise.all(busy);
      await until(() => direction === 'down' || digests.length >= 2, 'both have their bytes');
      const others = direction === 'up' ? digests : [1, 2].map(async (seed) => await sent.get(seed));
      expect(new Set(await Promise.all(others))).toEqual(new Set(got));
      expect(got[0]).not.toBe(got[1]);

      if (direction === 'down') expect(await receive(slow)).toBe(await sent.get(0xff));
      await until(() => proxied.finished.length >= 4, 'the busy ones have finished');
    },
  );

  test('what a stalled application leaves lying stays below the budget, and others go on', async () => {
    const target = await application((socket) => {
      socket.once('data', (first: Buffer) => {
        if (first[0] === 0xff) socket.pause();
        else echo(socket);
      });
    });
    const limitBytes = 8 * 1024 * 1024;
    const proxied = await path(target, { budgetBytes: limitBytes });
    const slow = client(proxied.port);
    slow.write(Buffer.from([0xff]));
    void send(slow, 1, 64 * 1024 * 1024).catch(() => undefined);
    await until(() => proxied.inboundBudget.usedBytes > 0, 'the stalled one has filled its socket');
    const socket = client(proxied.port);
    const [sent, received] = await Promise.all([send(socket, 2, 8 * 1024 * 1024), receive(socket)]);
    expect(received).not.toBe('');
    expect(sent).toHaveLength(64);
    expect(proxied.inboundBudget.usedBytes).toBeLessThanOrEqual(limitBytes);
  });
});

describe('a budget', () => {
  class Holding implements Holder {
    heldBytes = 0;
    budgetPlace = NOWHERE;
    readonly budget: QueueBudget;
    evicted = false;
    constructor(budget: QueueBudget) {
      this.budget = budget;
    }
    hold(bytes: number) {
      this.heldBytes += bytes;
      this.budget.add(this, bytes);
    }
    evict() {
      this.evicted = true;
      const bytes = this.heldBytes;
      this.heldBytes = 0;
      this.budget.remove(this, bytes);
    }
  }

  test('shrinks windows as it fills, and evicts who holds most when it is full', () => {
    const all = new QueueBudget(2_000_000);
    const pod = new QueueBudget(1_000_000, all);
    let changes = 0;
    using _ = pod.onChange(() => {
      changes++;
    });
    const [small, large] = [new Holding(pod), new Holding(pod)];
    const WINDOW = 4 * 1024 * 1024;
    expect(pod.windowFor(WINDOW)).toBe(WINDOW);
    small.hold(100_000);
    large.hold(500_000);
    expect([pod.windowFor(WINDOW), changes]).toEqual([WINDOW / 4, 1]);
    large.hold(350_000);
    expect(pod.windowFor(WINDOW)).toBe(64 * 1024);
    small.hold(100_000);
    expect([small.evicted, large.evicted]).toEqual([false, true]);
    expect(pod.windowFor(WINDOW)).toBe(WINDOW);
    expect([pod.usedBytes, all.usedBytes]).toEqual([200_000, 200_000]);
  });
});

test('what TLS holds outside the heap is let go when its socket closes, at both ends', async () => {
  const listeners: number[] = [];
  const proxied = await path(await application(echo), {
    onSecured: (socket) => listeners.push(socket.listenerCount('close')),
  });
  client(proxied.port).write('x');
  await until(() => listeners.length === 2, 'both ends know each other');
  expect(Math.min(...listeners)).toBeGreaterThan(0);
});

describe('at the door', () => {
  test('a client without a certificate, or that speaks no h2, gets nowhere', async () => {
    const proxied = await path(await application(echo));
    for (const ALPNProtocols of [['h2'], ['http/1.1']]) {
      const socket = connectTls({
        port: proxied.tunnelPort,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols,
      });
      socket.on('error', () => undefined);
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      await closed(socket);
    }
    expect(proxied.server.openTunnels).toBe(0);
  });

  test('garbage instead of TLS is closed', async () => {
    const proxied = await path(await application(echo));
    const socket = client(proxied.tunnelPort);
    socket.resume();
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'end');
    expect(proxied.server.openTunnels).toBe(0);
  });

  test('draining completes a handshake that is under way, and then ends the tunnel', async () => {
    // However long the handshake takes here, it takes no time.
    const proxied = await path(await application(echo), { session: { clock: new FakeClock() } });
    const socket = client(proxied.port);
    socket.write('x');
    while (proxied.server.handshakes === 0) await new Promise((resolve) => setImmediate(resolve));
    const drained = proxied.server.drain();
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(String(answer)).toBe('x');
    socket.end();
    await drained;
    expect(proxied.server.openTunnels).toBe(0);
  });

  test('draining waits a moment for a handshake that does not go on, and no longer', async () => {
    const clock = new FakeClock();
    const proxied = await path(await application(echo), { session: { clock } });
    const socket = client(proxied.tunnelPort);
    socket.resume();
    await until(() => proxied.server.handshakes === 1, 'the server knows of it');
    let isDrained = false;
    const drained = proxied.server.drain().then(() => {
      isDrained = true;
    });
    await clock.advance(DRAIN_HANDSHAKE_MS - 1);
    expect([proxied.server.handshakes, isDrained]).toEqual([1, false]);
    await clock.advance(1);
    await drained;
    expect(proxied.server.handshakes).toBe(0);
  });

  test('draining lets streams end, and then the tunnel', async () => {
    const proxied = await path(await application(echo));
    const socket = client(proxied.port);
    socket.write('x');
    await once(socket, 'data');
    const drained = proxied.server.drain();
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.end('y');
    expect(String(Buffer.concat(await socket.toArray()))).toBe('y');
    await drained;
    expect(proxied.server.openTunnels).toBe(0);
  });
});
