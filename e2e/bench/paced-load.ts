/**
 * Asks a redis-server at a steady rate, far below what anybody here can bear: on new connections and on held ones at the same
 * time, as a quiet application does. Prints latencies as JSON.
 *
 * Arguments: address, port, requests a second of each kind, held connections, seconds. A request's time begins when it is
 * made, with the connection that it opens. The program's own code is warm before it begins, so that what is cold is the proxy.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { PacedResult, PacedSamples } from './loads.ts';

const [host = '', port = '', perSecond = '', heldConnections = '', seconds = ''] = process.argv.slice(2);
const QUESTION = 'PING\r\n';
const ANSWER = '+PONG\r\n';
const WARM_UP_REQUESTS = 2_000;
const TIMEOUT_MS = 10_000;

interface Target {
  readonly host: string;
  readonly port: number;
}

/** One request on a connection that is open; µs. */
function ask(socket: Socket, beganAtMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let receivedBytes = 0;
    const onData = (chunk: Buffer) => {
      receivedBytes += chunk.length;
      if (receivedBytes >= ANSWER.length) settle(() => resolve((performance.now() - beganAtMs) * 1_000));
    };
    const onClose = () => settle(() => reject(new Error('closed without an answer')));
    const settle = (then: () => void) => {
      clearTimeout(timer);
      socket.off('data', onData).off('close', onClose);
      then();
    };
    const timer = setTimeout(
      () => settle(() => reject(new Error(`no answer within ${TIMEOUT_MS} ms`))),
      TIMEOUT_MS,
    );
    socket.on('data', onData).on('close', onClose);
    socket.write(QUESTION);
  });
}

async function dial(target: Target): Promise<Socket> {
  const socket = connect(target);
  await once(socket, 'connect');
  socket.setNoDelay(true);
  // Whoever asks sees the close.
  socket.on('error', () => undefined);
  return socket;
}

async function askOnce(target: Target): Promise<number> {
  const beganAtMs = performance.now();
  const socket = await dial(target);
  try {
    return await ask(socket, beganAtMs);
  } finally {
    socket.destroy();
  }
}

async function warmUp(): Promise<void> {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', () => socket.write(ANSWER)).on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const held = await dial(target);
  for (let i = 0; i < WARM_UP_REQUESTS; i++) {
    await ask(held, performance.now());
    await askOnce(target);
  }
  held.destroy();
  server.close();
}

/** Each request is due at its own time, whatever became of those before. */
async function paced(offsetMs: number, one: (index: number) => Promise<number>): Promise<PacedSamples> {
  const everyMs = 1_000 / Number(perSecond);
  const count = Number(perSecond) * Number(seconds);
  const beganAtMs = performance.now() + offsetMs;
  const asked: Promise<number>[] = [];
  for (let i = 0; i < count; i++) {
    const waitMs = beganAtMs + i * everyMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    asked.push(one(i));
  }
  const sorted = (await Promise.all(asked)).sort((a, b) => a - b);
  const quantile = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
  return { p50Us: quantile(0.5), p99Us: quantile(0.99) };
}

async function main(): Promise<void> {
  await warmUp();
  const target = { host, port: Number(port) };
  const held: { readonly socket: Socket; last: Promise<unknown> }[] = [];
  for (let i = 0; i < Number(heldConnections); i++)
    held.push({ socket: await dial(target), last: Promise.resolve() });
  const askHeld = (index: number) => {
    const connection = held[index % held.length];
    if (!connection) throw new Error('no held connections');
    const beganAtMs = performance.now();
    const answer = connection.last.then(() => ask(connection.socket, beganAtMs));
    connection.last = answer.catch(() => undefined);
    return answer;
  };
  const [fresh, kept] = await Promise.all([
    paced(0, () => askOnce(target)),
    paced(500 / Number(perSecond), askHeld),
  ]);
  process.stdout.write(JSON.stringify({ fresh, held: kept } satisfies PacedResult));
  process.exit(0);
}

await main();
