/**
 * Carries connections of a pod that does not exist, so that V8 has compiled the code for speed before a node's first ones come.
 *
 * It compiles what has run often. A quiet node's connections run the code a few times a second, and would be the slow ones of
 * a cold program for the first hour. These take every step that real ones take, in a data worker of their own: in a network
 * namespace that nobody else is in, with a certificate that nobody else trusts, and uncounted and unlogged. Whatever goes
 * wrong ends it, and nothing else.
 *
 * Compiled code is thrown away at the first thing that it has not seen while V8 took notes, and V8 begins to take them when
 * a function has run eight times. What happens once in the life of a pod or a tunnel therefore happens several times: the
 * pod lives again and again, from its first listener to the end of its last tunnel, in a mesh that has changed meanwhile.
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
import type {
  ControlToWorker,
  MeshDeltaMessage,
  WarmUpMessage,
  WorkerToControl,
} from '../threads/messages.ts';
import type { WorkerOptions } from '../threads/worker-options.ts';
import { AccessOutput } from './access-output.ts';
import {
  WARM_UP_BURST_MS,
  WARM_UP_DRAIN_MS,
  WARM_UP_HELD_CONNECTIONS,
  WARM_UP_LIFE_CONNECTIONS,
  WARM_UP_PAUSE_SHARE,
  WARM_UP_REST_MS,
  WARM_UP_TIMEOUT_MS,
} from './limits.ts';
import { connectFirst } from './sockets.ts';
import { DataWorker, type ThreadState } from './worker.ts';

const SOCKS_PORT = 15_080;
const SOCKS: Endpoint = { ip: '127.0.0.1', port: SOCKS_PORT };
const GREETING = Buffer.from([5, 1, 0]);
const QUESTION = Buffer.alloc(64, 'question');
/** Of several frames. */
const LARGE_QUESTION = Buffer.alloc(40_000, 'question');
const SHORT_TALK = [QUESTION, QUESTION];
/** Requests that follow others on their connection, every so many connections. */
const LONG_EVERY = 7;
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
  /** Has V8 take what is called for hot before long, until that is disposed of. */
  readonly tierUpEarly: () => Disposable;
}

/** @throws What kept it from being done; nothing of it is left then, either. */
export async function warmUp(message: WarmUpMessage, deps: WarmUpDeps): Promise<void> {
  const { clock, signal, collectGarbage, isIdle, tierUpEarly } = deps;
  signal.throwIfAborted();
  using scope = new DisposableStack();
  const early = scope.use(tierUpEarly());
  const netns = scope.use(createUnnamedNetns());
  startLoopback(netns.fd);
  const overdue = new AbortController();
  const late = clock.after(WARM_UP_TIMEOUT_MS, () =>
    overdue.abort(new Error(`not done within ${WARM_UP_TIMEOUT_MS} ms`)),
  );
  scope.defer(() => late.cancel());
  const until = AbortSignal.any([signal, overdue.signal]);
  const { application, certificate, connections, meshes } = message;
  const worker = new WorkerApart(message, deps);
  worker.tell(certificate);
  try {
    scope.use(serve(netns.fd, application));
    const pace = new Pace(deps, until);
    const live = (life: Life) => liveOnce(worker, netns.fd, message, life, until, pace);
    for (let lives = 0, left = connections; left > 0; lives += 1, left -= WARM_UP_LIFE_CONNECTIONS) {
      const mesh = meshes[lives % meshes.length];
      if (!mesh) throw new Error('there is no mesh to live in');
      await live({ mesh, connections: Math.min(left, WARM_UP_LIFE_CONNECTIONS) });
    }
    early[Symbol.dispose]();
    // V8's helpers are not through yet; what they need meanwhile would stay with them.
    await clock.sleep(WARM_UP_REST_MS, until);
    // V8 drops code that was made for kinds of objects of which it finds none, so there is some of each when it looks.
    await live({
      mesh: meshes.flat(),
      connections: WARM_UP_HELD_CONNECTIONS,
      whileOpen: () => isIdle() && collectGarbage(),
    });
  } catch (error) {
    if (!signal.aborted && isIdle()) collectGarbage();
    // It was that which cut the connections.
    throw until.aborted ? until.reason : error;
  }
}

interface Life {
  readonly mesh: readonly MeshDeltaMessage[];
  readonly connections: number;
  /** Called when all that stay open are there. */
  readonly whileOpen?: () => void;
}

/** What happens to a pod, from a mesh that changes before it to the end of its last tunnel. */
async function liveOnce(
  worker: WorkerApart,
  netnsFd: number,
  message: WarmUpMessage,
  life: Life,
  until: AbortSignal,
  pace: Pace,
): Promise<void> {
  until.throwIfAborted();
  const { pod, certificate } = message;
  const stop = (deadlineMs: number) => worker.tell({ kind: 'stop-pod', uid: pod.uid, deadlineMs });
  const cut = () => stop(0);
  until.addEventListener('abort', cut, { once: true });
  try {
    for (const delta of life.mesh) worker.tell(delta);
    worker.tell({ kind: 'mesh-complete' });
    const started = worker.hear('pod-started');
    worker.tell({ kind: 'start-pod', pod, netnsFd, identity: certificate.identity, inboundOnly: false });
    await started;
    await talkToAll(netnsFd, message, life, pace);
    const stopped = worker.hear('pod-stopped');
    stop(WARM_UP_DRAIN_MS);
    await stopped;
    await pace.rest();
  } finally {
    until.removeEventListener('abort', cut);
    const stopped = worker.hear('pod-stopped');
    cut();
    await stopped;
  }
}

/** A data worker beside the one of this thread, of which nobody else hears. */
class WorkerApart {
  readonly #worker: DataWorker;
  #heard: ({ readonly kind: WorkerToControl['kind'] } & PromiseWithResolvers<void>) | undefined;

  constructor({ nodeName, targets }: WarmUpMessage, { options, clock, random }: WarmUpDeps) {
    const { filter, format } = {
      filter: { base: 'off', scopes: new Map() },
      format: options.log.format,
    } as const;
    const nothing = () => undefined;
    this.#worker = new DataWorker({
      options: {
        ...options,
        // Of two, of which the other one does not listen: where workers share ports there is more to decide.
        ...{
          index: 0,
          workers: 2,
          mode: 'shared',
          nodeName,
          onDemand: false,
          bulkTable: undefined,
        },
        ports: { ...options.ports, outbound: targets.captured.port, socks5: SOCKS_PORT },
      },
      post: (said) => this.#hear(said),
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

  tell(message: ControlToWorker): void {
    this.#worker.receive(message);
  }

  /** When it says so next. @throws What failed instead. */
  hear(kind: WorkerToControl['kind']): Promise<void> {
    this.#heard = { kind, ...Promise.withResolvers<void>() };
    return this.#heard.promise;
  }

  #hear(said: WorkerToControl): void {
    if (said.kind === this.#heard?.kind) this.#heard.resolve();
    else if (said.kind === 'pod-failed') this.#heard?.reject(new Error(said.reason));
  }
}

/** The first connections stay until all are through. */
async function talkToAll(
  netnsFd: number,
  { targets }: WarmUpMessage,
  { connections, whileOpen }: Life,
  pace: Pace,
): Promise<void> {
  using held = new DisposableStack();
  for (let i = 0; i < connections; ) {
    const isHeld = i < WARM_UP_HELD_CONNECTIONS;
    const questions = i % LONG_EVERY === 0 ? LONG_TALK : SHORT_TALK;
    const together = Math.min(isHeld || i % TOGETHER_EVERY === 1 ? TOGETHER : 1, connections - i);
    const talks = Array.from({ length: together }, (_, n) =>
      held.use(
        (i + n) % 2 === 0 ? new Talk(netnsFd, targets.captured) : new Talk(netnsFd, SOCKS, targets.direct),
      ),
    );
    await Promise.all(talks.map((talk) => talk.ask(questions)));
    if (!isHeld) for (const talk of talks) talk[Symbol.dispose]();
    i += together;
    await pace.rest();
  }
  whileOpen?.();
}

/** Bursts, with pauses: the thread has others to serve. */
class Pace {
  readonly #deps: WarmUpDeps;
  readonly #until: AbortSignal;
  #burstBeganAtMs: number;

  constructor(deps: WarmUpDeps, until: AbortSignal) {
    this.#deps = deps;
    this.#until = until;
    this.#burstBeganAtMs = deps.clock.monotonicMs();
  }

  /** Where a pause may be. @throws Why there is no more to be done. */
  async rest(): Promise<void> {
    this.#until.throwIfAborted();
    const { clock, isIdle } = this.#deps;
    const burstMs = clock.monotonicMs() - this.#burstBeganAtMs;
    if (burstMs < WARM_UP_BURST_MS) return;
    await clock.sleep(burstMs * WARM_UP_PAUSE_SHARE[isIdle() ? 'idle' : 'busy'], this.#until);
    this.#burstBeganAtMs = clock.monotonicMs();
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

/** A connection of the pod's. Nothing is redirected where nobody loads rules: it goes to where the proxy listens. */
class Talk implements PlainSocketEvents, Disposable {
  readonly #socket: PlainSocket;
  readonly #target: Endpoint | undefined;
  #waiting: PromiseWithResolvers<void> = Promise.withResolvers();
  #missingBytes = 0;

  /** @param target - Where `to`, which is SOCKS then, shall lead; else that is taken for what the pod wanted. */
  constructor(netnsFd: number, to: Endpoint, target?: Endpoint) {
    this.#target = target;
    const connecting = connectFirst(tcpSocket({ netnsFd, family: 4 }), to, () => undefined);
    this.#socket = new PlainSocket({ connecting }, this);
    if (this.#socket.isConnected) this.onPlainConnected();
  }

  /** One after the other; the first one as soon as it is connected, as far as it knows. */
  async ask(questions: readonly Buffer[]): Promise<void> {
    await this.#waiting.promise;
    this.#socket.resume();
    if (this.#target) await this.#negotiate(this.#target);
    for (const question of questions) await this.#say(question, question.length);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #negotiate({ ip, port }: Endpoint): Promise<void> {
    await this.#say(GREETING, 2);
    await this.#say(Buffer.from([5, 1, 0, 1, ...ip.split('.').map(Number), port >> 8, port & 255]), 10);
  }

  /** Says something and hears so many bytes. */
  #say(bytes: Uint8Array, answerBytes: number): Promise<void> {
    this.#waiting = Promise.withResolvers();
    this.#missingBytes = answerBytes;
    this.#socket.write(bytes);
    return this.#waiting.promise;
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
