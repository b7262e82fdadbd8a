import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { acceptHandles, socketOptions, type TcpHandle } from '@ambit/hbone/socket/native';
import { sharedLoads, WorkerLoads } from '../threads/worker-loads.ts';
import { Balance } from './balance.ts';

/** Two workers in one thread, of which the first has a listener. */
class Pair implements Disposable {
  readonly memory = sharedLoads(2);
  readonly loads = new WorkerLoads(this.memory, 0);
  readonly served: string[] = [];
  readonly pods = new Set(['pod']);
  readonly first: Balance;
  readonly second: Balance;
  readonly #channel = new MessageChannel();
  readonly server: Server;

  constructor() {
    const worker = (index: number) =>
      new Balance(
        index,
        (uid, port) => (this.pods.has(uid) ? (handle) => this.serve(`${index}:${port}`, handle) : undefined),
        systemClock,
      );
    this.first = worker(0);
    this.second = worker(1);
    const { port1, port2 } = this.#channel;
    this.first.meet({ kind: 'peers', loads: this.memory, ports: [undefined, port1] });
    this.second.meet({ kind: 'peers', loads: this.memory, ports: [port2, undefined] });
    this.server = createServer();
  }

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    acceptHandles(
      this.server,
      (handle) => {
        if (!this.first.moves('tunnels', 'pod', 15_008, handle)) this.serve('0:15008', handle);
      },
      () => undefined,
    );
  }

  serve(by: string, handle: TcpHandle): void {
    this.served.push(by);
    const socket = new Socket(socketOptions(handle));
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }

  async ask(text: string): Promise<string> {
    const socket = connect((this.server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined);
    try {
      socket.write(text);
      return await new Promise((resolve) => {
        socket.once('data', (answer) => resolve(String(answer)));
        socket.once('close', () => resolve('closed'));
      });
    } finally {
      socket.destroy();
    }
  }

  [Symbol.dispose](): void {
    this.server.close();
    this.#channel.port1.close();
    this.#channel.port2.close();
  }
}

let pair: Pair;
beforeEach(async () => {
  pair = new Pair();
  await pair.listen();
});
afterEach(() => pair[Symbol.dispose]());

describe('an accepted connection', () => {
  test('stays where it came in when nobody has less', async () => {
    expect(await pair.ask('hello')).toBe('hello');
    expect(pair.served).toEqual(['0:15008']);
  });

  test('moves, with what its client had said already, to the worker that has less', async () => {
    pair.first.count('tunnels', 1);
    expect(await pair.ask('hello')).toBe('hello');
    expect([pair.served, pair.loads.of('tunnels')]).toEqual([['1:15008'], [1, 0]]);
  });

  test('waits on the other worker for its pod', async () => {
    pair.first.count('tunnels', 1);
    pair.pods.delete('pod');
    const answer = pair.ask('hello');
    while (pair.loads.of('tunnels')[1] === 0) await systemClock.sleep(1);
    await systemClock.sleep(20);
    expect([pair.served, pair.loads.of('tunnels')]).toEqual([[], [1, 1]]);
    pair.pods.add('pod');
    pair.second.podStarted();
    expect(await answer).toBe('hello');
    expect([pair.served, pair.loads.of('tunnels')]).toEqual([['1:15008'], [1, 0]]);
  });

  test('is closed when its pod does not come', async () => {
    pair.first.count('tunnels', 1);
    pair.pods.delete('pod');
    expect(await pair.ask('hello')).toBe('closed');
    expect([pair.served, pair.loads.of('tunnels')]).toEqual([[], [1, 0]]);
  });
});
