/**
 * DNS over TCP on one address of a pod: messages behind their length, several at a time, answers as they are ready.
 *
 * A client that sends slowly, asks without reading, or holds a connection idle is paused or cut, and costs nobody else.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Draining } from './draining.ts';
import {
  MAX_PIPELINED,
  MAX_QUERY_BYTES,
  MAX_TCP_CONNECTIONS_PER_POD,
  QUERY_TIMEOUT_MS,
  TCP_IDLE_MS,
} from './limits.ts';
import type { Resolver } from './resolver.ts';

export interface TcpDnsOptions {
  readonly resolver: Pick<Resolver, 'answer'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Serves until disposed of; takes over the fd, which listens. */
export function serveTcp(fd: number, options: TcpDnsOptions): Promise<Draining> {
  const open = new Map<Socket, DnsConnection>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = new DnsConnection(socket, options);
    open.set(socket, connection);
    socket.on('close', () => open.delete(socket));
    socket.on('data', (chunk: Buffer) => connection.take(chunk));
    socket.on('end', () => connection.end());
    socket.on('error', (error) => options.log.trace('tcp client', { error: messageOf(error) }));
    socket.on('close', () => connection[Symbol.dispose]());
  });
  server.maxConnections = MAX_TCP_CONNECTIONS_PER_POD;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, () => {
      server.off('error', reject);
      server.on('error', (error) => options.log.warn('tcp listener', { error: messageOf(error) }));
      resolve({
        drain: async () => {
          server.close();
          await Promise.all([...open.values()].map((connection) => connection.drain()));
        },
        [Symbol.dispose]: () => {
          server.close();
          for (const socket of open.keys()) socket.destroy();
        },
      });
    });
  });
}

class DnsConnection implements Disposable {
  readonly #socket: Socket;
  readonly #options: TcpDnsOptions;
  #received = Buffer.alloc(0);
  #pending = 0;
  #hasEnded = false;
  #isDraining = false;
  #deadline: Timer;
  /** A question has begun to arrive, and its deadline runs. */
  #isMidQuestion = false;

  constructor(socket: Socket, options: TcpDnsOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#deadline = this.#cutAfter(TCP_IDLE_MS);
    socket.on('drain', () => this.#advance());
  }

  take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    this.#advance();
  }

  end(): void {
    this.#hasEnded = true;
    this.#advance();
  }

  /** Resolves when all that was asked has been answered, or the client is gone. */
  drain(): Promise<void> {
    this.#isDraining = true;
    return new Promise((resolve) => {
      this.#socket.once('finish', resolve).once('close', resolve);
      this.#advance();
    });
  }

  [Symbol.dispose](): void {
    this.#deadline.cancel();
  }

  /** Starts what can be started, and sets how long the client has for what comes next. */
  #advance(): void {
    let started = 0;
    while (this.#hasRoom() && this.#received.length >= 2) {
      const length = this.#received.readUInt16BE(0);
      if (length === 0 || length > MAX_QUERY_BYTES) {
        this.#socket.destroy();
        return;
      }
      if (this.#received.length < 2 + length) break;
      const question = this.#received.subarray(2, 2 + length);
      this.#received = this.#received.subarray(2 + length);
      this.#serve(question);
      started += 1;
    }
    if (this.#hasRoom()) this.#socket.resume();
    else this.#socket.pause();
    const isOver = this.#hasEnded || (this.#isDraining && this.#received.length === 0);
    if (isOver && this.#pending === 0) this.#socket.end();
    const isMidQuestion = this.#received.length > 0 && this.#hasRoom();
    if (isMidQuestion && this.#isMidQuestion && started === 0) return;
    this.#isMidQuestion = isMidQuestion;
    this.#deadline.cancel();
    this.#deadline = this.#cutAfter(isMidQuestion ? QUERY_TIMEOUT_MS : TCP_IDLE_MS);
  }

  #hasRoom(): boolean {
    return this.#pending < MAX_PIPELINED && !this.#socket.writableNeedDrain;
  }

  #serve(question: Buffer): void {
    const { resolver, log } = this.#options;
    this.#pending += 1;
    resolver
      .answer(question, 'tcp')
      .then((answer) => {
        this.#pending -= 1;
        if (this.#socket.destroyed) return;
        if (answer === undefined) {
          this.#socket.destroy();
          return;
        }
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        this.#socket.write(Buffer.concat([length, answer]));
        this.#advance();
      })
      .catch((error: unknown) => {
        log.error('question not answered', { error: messageOf(error) });
        this.#socket.destroy();
      });
  }

  #cutAfter(ms: number): Timer {
    return this.#options.clock.after(ms, () => this.#socket.destroy());
  }
}
