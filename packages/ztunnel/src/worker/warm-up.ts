/**
 * Carries connections of a pod that does not exist, so that V8 has compiled the code for speed before a node's first ones come.
 *
 * It compiles what has run often. A quiet node's connections run the code a few times a second, and would be the slow ones of
 * a cold program for the first hour. These take every step that real ones take, in a data worker of their own: in a network
 * namespace that nobody else is in, with a certificate that nobody else trusts, and uncounted and unlogged. Whatever goes
 * wrong ends it, and nothing else.
 */
import { createServer } from 'node:net';
import type { Clock, Random } from '@ambit/core/clock';
import type { Endpoint } from '@ambit/core/ip';
import { LogRoot } from '@ambit/core/log';
import { acceptHandles, type TcpHandle } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { startLoopback } from '@ambit/linux/interfaces';
import { createUnnamedNetns } from '@ambit/linux/netns';
import { listenTcp, tcpSocket } from '@ambit/linux/sockets';
import type { WarmUpMessage, WorkerToControl } from '../threads/messages.ts';
import type { WorkerOptions } from '../threads/worker-options.ts';
import { AccessOutput } from './access-output.ts';
import { WARM_UP_BURST_MS, WARM_UP_PAUSE_SHARE, WARM_UP_TIMEOUT_MS } from './limits.ts';
import { connectFirst } from './sockets.ts';
import { DataWorker, type ThreadState } from './worker.ts';

const SOCKS_PORT = 15_080;
const GREETING = Buffer.from([5, 1, 0]);
const QUESTION = Buffer.alloc(64, 'question');
/** Of several frames. */
const LARGE_QUESTION = Buffer.alloc(40_000, 'question');
const SHORT_TALK = [QUESTION, QUESTION];
/** Requests that follow others on their connection, every so many connections. */
const LONG_EVERY = 8;
const LONG_TALK = [...Array.from({ length: 16 }, () => QUESTION), LARGE_QUESTION];
/** Streams beside each other in one tunnel, every so many connections. */
const TOGETHER_EVERY = 5;
const TOGETHER = 3;

/** What it is told of its thread ends it, and lets it collect garbage or not. */
export interface WarmUpDeps extends ThreadState {
  /** Of the worker that warms up. */
  readonly options: WorkerOptions;
  readonly clock: Clock;
  readonly random: Random;
  /** The thread stands still for it, so it is called only when that is idle. */
  readonly collectGarbage: () => void;
}

/** @throws What kept it from being done; nothing of it is left then, either. */
export async function warmUp(message: WarmUpMessage, deps: WarmUpDeps): Promise<void> {
  const { pod, mesh, certificate, application } = message;
  const { clock, signal, collectGarbage, isIdle } = deps;
  signal.throwIfAborted();
  using scope = new DisposableStack();
  const netns = scope.use(createUnnamedNetns());
  startLoopback(netns.fd);
  const stopped = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const hear = (said: WorkerToControl) => {
    if (said.kind === 'pod-started') started.resolve();
    if (said.kind === 'pod-failed') started.reject(new Error(said.reason));
    if (said.kind === 'pod-stopped') stopped.resolve();
  };
  const worker = apart(deps, hear);
  worker.receive(mesh);
  worker.receive({ kind: 'mesh-complete' });
  worker.receive(certificate);
  const { identity } = certificate;
  worker.receive({ kind: 'start-pod', pod, netnsFd: netns.fd, identity, inboundOnly: false });
  const stop = () => worker.receive({ kind: 'stop-pod', uid: pod.uid, deadlineMs: 0 });
  const overdue = new AbortController();
  const late = clock.after(WARM_UP_TIMEOUT_MS, () =>
    overdue.abort(new Error(`not done within ${WARM_UP_TIMEOUT_MS} ms`)),
  );
  const until = AbortSignal.any([signal, overdue.signal]);
  until.addEventListener('abort', stop, { once: true });
  try {
    await started.promise;
    scope.use(serve(netns.fd, application));
    await talkToAll(netns.fd, message, until, deps);
    await tidyUp(netns.fd, message, deps);
  } catch (error) {
    if (!signal.aborted && isIdle()) collectGarbage();
    // It was that which cut the connections.
    throw until.aborted ? until.reason : error;
  } finally {
    late.cancel();
    until.removeEventListener('abort', stop);
    stop();
    await stopped.promise;
  }
}

/** A data worker beside the one of this thread, of which nobody hears. */
function apart({ options, clock, random }: WarmUpDeps, post: (message: WorkerToControl) => void): DataWorker {
  const { filter, format } = {
    filter: { base: 'off', scopes: new Map() },
    format: options.log.format,
  } as const;
  const nothing = () => undefined;
  return new DataWorker({
    options: {
      ...options,
      ...{ index: 0, workers: 1, mode: 'shared', nodeName: '', onDemand: false, bulkTable: undefined },
      ports: { ...options.ports, socks5: SOCKS_PORT },
    },
    post,
    clock,
    random,
    log: new LogRoot({ filter, format, destination: { write: nothing } }),
    // It says what it would say of real connections, to nobody.
    accessLog: new AccessOutput({
      filter: { base: 'info', scopes: new Map() },
      format,
      clock,
      output: { write: nothing, flush: nothing, flushSync: nothing },
    }),
  });
}

/** Connections in bursts: the thread has others to serve. */
async function talkToAll(
  netnsFd: number,
  { targets, connections }: WarmUpMessage,
  until: AbortSignal,
  { clock, isIdle }: WarmUpDeps,
): Promise<void> {
  let burstBeganAtMs = clock.monotonicMs();
  for (let i = 0; i < connections; ) {
    const target = targets[i % targets.length];
    if (!target) return;
    until.throwIfAborted();
    const questions = i % LONG_EVERY === 0 ? LONG_TALK : SHORT_TALK;
    const together = Math.min(i % TOGETHER_EVERY === 1 ? TOGETHER : 1, connections - i);
    await Promise.all(Array.from({ length: together }, () => talkTo(netnsFd, target, questions)));
    i += together;
    const burstMs = clock.monotonicMs() - burstBeganAtMs;
    if (burstMs < WARM_UP_BURST_MS) continue;
    await clock.sleep(burstMs * WARM_UP_PAUSE_SHARE[isIdle() ? 'idle' : 'busy'], until);
    burstBeganAtMs = clock.monotonicMs();
  }
}

async function talkTo(netnsFd: number, target: Endpoint, questions: readonly Buffer[]): Promise<void> {
  const talk = new Talk(netnsFd);
  try {
    await talk.open(target);
    for (const question of questions) await talk.ask(question, question.length);
  } finally {
    talk.close();
  }
}

/**
 * Gives back what all that has left behind. V8 drops code that was made for kinds of objects of which it finds none, so
 * there is a connection by each way when it looks.
 */
async function tidyUp(
  netnsFd: number,
  { targets }: WarmUpMessage,
  { isIdle, collectGarbage }: WarmUpDeps,
): Promise<void> {
  if (!isIdle()) return;
  const held: Talk[] = [];
  try {
    for (const target of targets) {
      const talk = new Talk(netnsFd);
      held.push(talk);
      await talk.open(target);
      await talk.ask(QUESTION, QUESTION.length);
    }
    if (isIdle()) collectGarbage();
  } finally {
    for (const talk of held) talk.close();
  }
}

/** The application: says what it hears. */
function serve(netnsFd: number, { ip, port }: Endpoint): Disposable {
  const { fd } = listenTcp({ netnsFd, ip, port, noDelay: true });
  const server = createServer().listen({ fd });
  const echoes = new Set<Echo>();
  acceptHandles(
    server,
    (handle) => echoes.add(new Echo(handle, (echo) => echoes.delete(echo))),
    () => undefined,
  );
  return {
    [Symbol.dispose]: () => {
      server.close();
      for (const echo of [...echoes]) echo.close();
    },
  };
}

class Echo implements PlainSocketEvents {
  readonly #socket: PlainSocket;
  readonly #onClosed: (echo: Echo) => void;

  constructor(handle: TcpHandle, onClosed: (echo: Echo) => void) {
    this.#socket = new PlainSocket(handle, this);
    this.#onClosed = onClosed;
    this.#socket.resume();
  }

  close(): void {
    this.#socket.close();
    this.#onClosed(this);
  }

  onPlainData(buffer: Buffer, from: number, to: number): void {
    this.#socket.write(Buffer.from(buffer.subarray(from, to)));
  }

  onPlainEnd(): void {
    this.close();
  }

  onPlainError(): void {
    this.#onClosed(this);
  }

  onPlainWritten(): void {}
}

/** A connection of the pod's, through SOCKS, since nothing is redirected where nobody loads rules. */
class Talk implements PlainSocketEvents {
  readonly #socket: PlainSocket;
  #waiting: PromiseWithResolvers<void> = Promise.withResolvers();
  #missingBytes = 0;

  constructor(netnsFd: number) {
    const to = { ip: '127.0.0.1', port: SOCKS_PORT };
    const connecting = connectFirst(tcpSocket({ netnsFd, family: 4 }), to, () => undefined);
    this.#socket = new PlainSocket({ connecting }, this);
    if (this.#socket.isConnected) this.onPlainConnected();
  }

  async open({ ip, port }: Endpoint): Promise<void> {
    await this.#waiting.promise;
    this.#socket.resume();
    await this.ask(GREETING, 2);
    await this.ask(Buffer.from([5, 1, 0, 1, ...ip.split('.').map(Number), port >> 8, port & 255]), 10);
  }

  /** Says something and hears so many bytes. */
  ask(question: Uint8Array, answerBytes: number): Promise<void> {
    this.#waiting = Promise.withResolvers();
    this.#missingBytes = answerBytes;
    this.#socket.write(question);
    return this.#waiting.promise;
  }

  close(): void {
    this.#socket.close();
  }

  onPlainConnected(): void {
    this.#waiting.resolve();
  }

  onPlainData(_buffer: Buffer, from: number, to: number): void {
    this.#missingBytes -= to - from;
    if (this.#missingBytes <= 0) this.#waiting.resolve();
  }

  onPlainEnd(): void {
    this.#waiting.reject(new Error('closed without an answer'));
  }

  onPlainError(code: string): void {
    this.#waiting.reject(new Error(code));
  }

  onPlainWritten(): void {}
}
