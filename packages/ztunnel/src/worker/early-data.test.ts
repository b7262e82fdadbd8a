import { closeSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { freePort } from '@ambit/core/testing/free-port';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import type { TunnelPump } from '@ambit/hbone/tunnel-pump';
import type { H2Stream } from '@ambit/http/h2/stream';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { acceptWaiting, listenTcp } from '@ambit/linux/sockets';
import { OPTIONS } from '../testing/worker-network.ts';
import { EarlyData } from './early-data.ts';
import { EARLY_DATA_BYTES } from './limits.ts';
import { PodSockets } from './sockets.ts';

const NOTHING: PlainSocketEvents = {
  onPlainError() {},
  onPlainData() {},
  onPlainEnd() {},
  onPlainWritten() {},
};
const A_WHILE_MS = 50;

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 5_000 && !holds(); i++) await systemClock.sleep(5);
}

/** As much of a stream as takes what is said through it. */
class Told {
  readonly windowBytes = 65_535;
  readonly words: string[] = [];
  ended = false;
  readonly stream = this as unknown as H2Stream;

  writeInPlace(buffer: Buffer, from: number, to: number): boolean {
    this.words.push(buffer.toString('latin1', from, to));
    return true;
  }

  write(bytes: Buffer): boolean {
    return this.writeInPlace(bytes, 0, bytes.length);
  }

  end(): void {
    this.ended = true;
  }
}

let listener: number;
/** The application's end, and ours. */
let application: PlainSocket;
let socket: PlainSocket;
let told: Told;
let early: EarlyData;
let ends: string[];

function make(budget: QueueBudget): void {
  early = new EarlyData(socket, budget, () => {
    ends.push('evicted');
    socket.close();
  });
  socket.events = {
    onPlainError: (code) => void ends.push(code),
    onPlainData: (buffer, from, to) => early.read(told.stream, buffer, from, to),
    onPlainEnd: () => {
      ends.push('end');
      early.end(told.stream);
    },
    onPlainWritten: () => undefined,
  };
}

beforeEach(async () => {
  const to = { ip: '127.0.0.1', port: await freePort() };
  listener = listenTcp({ ...to, backlog: 8 }).fd;
  const sockets = new PodSockets(undefined, { ...OPTIONS, packetMark: undefined }, false, () => 0.5);
  application = new PlainSocket({ connecting: sockets.connect(to) }, NOTHING);
  socket = new PlainSocket({ connecting: acceptWaiting(listener) ?? -1 }, NOTHING);
  told = new Told();
  ends = [];
  make(new QueueBudget(1 << 20));
});
afterEach(() => {
  application.close();
  socket.close();
  closeSync(listener);
});

test('what has arrived is told within the call that opens the stream, a little of it, and no more follows', async () => {
  const words = 'a long request '.repeat(1_000);
  application.write(Buffer.from(words));
  early.follow(told.stream);
  expect(told.words).toEqual([words.slice(0, EARLY_DATA_BYTES)]);
  await systemClock.sleep(A_WHILE_MS);
  expect(told.words).toHaveLength(1);
});

test('what follows is told as it comes, until it is enough', async () => {
  early.follow(told.stream);
  const words = ['a', 'b', 'c'.repeat(EARLY_DATA_BYTES), 'd'];
  for (const [i, piece] of words.entries()) {
    application.write(Buffer.from(piece));
    if (i < 3) await until(() => told.words.length > i);
  }
  await systemClock.sleep(A_WHILE_MS);
  expect(told.words).toEqual(words.slice(0, 3));
  expect(early.heldBytes).toBe(EARLY_DATA_BYTES + 2);
});

test('it is told once to the stream that is agreed to, and again to one that follows a refused one', () => {
  application.write(Buffer.from('hello'));
  early.follow(told.stream);
  early.pause();
  const next = new Told();
  early.follow(next.stream);
  const ahead: number[] = [];
  const pump = { sentAhead: (bytes: number) => void ahead.push(bytes), attach: () => undefined };
  early.handOver(next.stream, pump as unknown as TunnelPump);
  expect([told.words, next.words, ahead, early.isHeld]).toEqual([['hello'], ['hello'], [5], false]);
});

test('what the budget has no room for is told to nobody, and ends the connection', async () => {
  make(new QueueBudget(3));
  application.write(Buffer.from('hello'));
  early.follow(told.stream);
  expect([told.words, ends, early.heldBytes]).toEqual([[], ['evicted'], 0]);
  await systemClock.sleep(A_WHILE_MS);
  expect([told.words, ends]).toEqual([[], ['evicted']]);
});

test('an application that has gone by then is noticed in that call', async () => {
  application.reset();
  await systemClock.sleep(A_WHILE_MS);
  early.follow(told.stream);
  expect([told.words, ends, socket.isClosed]).toEqual([[], ['ECONNRESET'], true]);
});

test.each([[[]], [['hello']]])('an end after %j is told to each stream, and to the pump', async (words) => {
  for (const piece of words) application.write(Buffer.from(piece));
  application.end();
  early.follow(told.stream);
  expect(told.ended).toBe(false);
  await until(() => ends.length > 0);
  expect([told.words, ends, told.ended]).toEqual([words, ['end'], true]);
  const next = new Told();
  early.pause();
  early.follow(next.stream);
  expect([next.words, next.ended]).toEqual([words, true]);
  const heard: string[] = [];
  const pump = {
    sentAhead: () => undefined,
    attach: () => heard.push('attached'),
    onPlainEnd: () => heard.push('end'),
  };
  early.handOver(next.stream, pump as unknown as TunnelPump);
  expect(heard).toEqual(['attached', 'end']);
});
