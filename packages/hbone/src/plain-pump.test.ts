import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { PlainPump } from './plain-pump.ts';
import { QueueBudget } from './queue-budget.ts';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { listenHandles } from './testing/proxied-path.ts';

const NOBODY: PlainSocketEvents = {
  onPlainData() {},
  onPlainEnd() {},
  onPlainWritten() {},
  onPlainError() {},
};

const open: (Server | Socket)[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) {
    if ('listen' in thing) thing.close();
    else thing.destroy();
  }
});

/** Applications whose connections to `port` go through a pump to a server that does not read. */
async function proxied(budget: QueueBudget) {
  const stalled: Socket[] = [];
  const target = createServer((socket) => {
    open.push(socket);
    stalled.push(socket.pause().on('error', () => undefined));
  }).listen(0, '127.0.0.1');
  open.push(target);
  await once(target, 'listening');
  const to = { ip: '127.0.0.1', port: (target.address() as AddressInfo).port };
  const finished: (Error | undefined)[] = [];
  const { server, port } = await listenHandles((handle) => {
    const downstream = new PlainSocket(handle, NOBODY);
    const upstream: PlainSocket = new PlainSocket(
      { to },
      {
        ...NOBODY,
        onPlainConnected: () =>
          void new PlainPump(downstream, upstream, budget, {
            onFinished: (error) => void finished.push(error),
          }),
      },
    );
  });
  open.push(server);
  const sends = () => {
    const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
    open.push(socket);
    socket.write(Buffer.alloc(16 * 1024 * 1024));
    return socket;
  };
  return { sends, stalled, finished };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 5_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  if (!holds()) throw new Error(`waited in vain until ${what}`);
}

test('what an application does not read is counted, and given back when it has', async () => {
  const budget = new QueueBudget(1_000_000);
  const { sends, stalled } = await proxied(budget);
  sends();
  await until(() => budget.usedBytes > 0, 'something is held');
  stalled[0]?.resume();
  await until(() => budget.usedBytes === 0 && stalled[0]?.bytesRead === 16 * 1024 * 1024, 'all is read');
});

test('connections in clear hold no more than the budget: who holds most is cut', async () => {
  const budget = new QueueBudget(600_000);
  const { sends, finished } = await proxied(budget);
  for (let i = 0; i < 6; i++) sends();
  await until(() => finished.length >= 2, 'some are cut');
  expect(String(finished[0])).toContain('no more memory');
  expect(budget.usedBytes).toBeLessThanOrEqual(600_000);
});

test('a connection that ends gives back what it held', async () => {
  const budget = new QueueBudget(1_000_000);
  const { sends, stalled, finished } = await proxied(budget);
  sends();
  await until(() => budget.usedBytes > 0, 'something is held');
  stalled[0]?.resetAndDestroy();
  await until(() => finished.length === 1, 'the pump is through');
  expect(budget.usedBytes).toBe(0);
});
