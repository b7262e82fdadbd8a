/**
 * The data workers as one: what is told to all, what is asked of all, and that one which dies takes the process with it.
 *
 * A worker is never restarted. It held connections and listeners that nobody else has, and the node agent and Kubernetes
 * know how to replace a process; half a proxy would be found by nobody.
 */
import type { Clock } from '@ambit/core/clock';
import { MeshError, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { WORKER_ANSWER_TIMEOUT_MS, WORKER_DRAIN_TURN_MS, WORKER_START_TIMEOUT_MS } from '../limits.ts';
import type {
  ConnectionReport,
  ControlToWorker,
  MetricReport,
  WorkerQuestion,
  WorkerToControl,
} from '../threads/messages.ts';

/** As much of a `worker_threads` Worker as is used here. */
export interface WorkerThread {
  postMessage(message: ControlToWorker): void;
  on(event: 'message', listener: (message: WorkerToControl) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  terminate(): Promise<unknown>;
}

/** A data worker ended, or did not do what it was asked. */
export class WorkerError extends MeshError {
  readonly code = 'WORKER';
  readonly side = 'internal';
}

/** What workers say without being asked, and which of them said it. */
export type WorkerEvent = Exclude<
  WorkerToControl,
  { kind: 'answer' } | { kind: 'ready' } | { kind: 'draining' } | { kind: 'drained' }
>;
type Answer = Extract<WorkerToControl, { kind: 'answer' }>;

export interface WorkerPoolOptions {
  readonly count: number;
  readonly spawn: (index: number) => WorkerThread;
  /** Called once, with the first worker that ends before it was told to. */
  readonly onDeath: (error: WorkerError) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class WorkerPool implements AsyncDisposable {
  readonly #options: WorkerPoolOptions;
  readonly #workers: WorkerThread[] = [];
  readonly #listeners = new Set<(event: WorkerEvent, worker: number) => void>();
  readonly #pending = new Map<number, (answer: Answer) => void>();
  readonly #closing = new Map<number, () => void>();
  readonly #drained = new Set<number>();
  readonly #allDrained = Promise.withResolvers<void>();
  #questions = 0;
  #stopping = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#options.count;
  }

  /** Starts all workers and resolves when each is ready for messages. */
  async start(): Promise<void> {
    const { count, spawn, clock } = this.#options;
    const ready = Array.from({ length: count }, () => Promise.withResolvers<void>());
    for (let index = 0; index < count; index++) {
      const worker = spawn(index);
      this.#workers.push(worker);
      worker.on('message', (message) => this.#receive(message, index, () => ready[index]?.resolve()));
      worker.on('error', (error) => this.#died(index, messageOf(error), ready[index]?.reject));
      worker.on('exit', (code) => this.#died(index, `exit code ${code}`, ready[index]?.reject));
    }
    const abort = new AbortController();
    const late = clock.sleep(WORKER_START_TIMEOUT_MS, abort.signal).then(() => {
      throw new WorkerError(`a data worker was not ready within ${WORKER_START_TIMEOUT_MS} ms`);
    });
    late.catch(() => undefined);
    try {
      await Promise.race([Promise.all(ready.map(({ promise }) => promise)), late]);
    } finally {
      abort.abort();
    }
  }

  broadcast(message: ControlToWorker): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  send(worker: number, message: ControlToWorker): void {
    this.#workers[worker]?.postMessage(message);
  }

  subscribe(listener: (event: WorkerEvent, worker: number) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async connections(): Promise<readonly ConnectionReport[]> {
    const answers = await this.#ask({ what: 'connections' });
    return answers.flatMap((answer) => ('connections' in answer ? answer.connections : []));
  }

  /** One element for each worker that answered in time. */
  async metrics(): Promise<readonly (readonly MetricReport[])[]> {
    const answers = await this.#ask({ what: 'metrics' });
    return answers.flatMap((answer) => ('metrics' in answer ? [answer.metrics] : []));
  }

  /**
   * Workers close their listeners one after the other, the last one first: where another ztunnel listens at the same ports
   * by then, the kernel puts the last socket of all in the place of each that closes, and only so do the other's end up in
   * their order, by which tunnels choose among them (`PodSockets.tunnel`).
   *
   * Resolves when every worker has drained, which takes at most about `deadlineMs`.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    for (const [index, worker] of [...this.#workers.entries()].toReversed()) {
      const closed = this.#listenersClosed(index);
      worker.postMessage({ kind: 'drain', deadlineMs });
      await closed;
    }
    if (this.#workers.length > 0) await this.#allDrained.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** Of a worker that is about to be told to drain; one that is stuck does not keep the others from it. */
  #listenersClosed(index: number): Promise<void> {
    if (this.#drained.has(index)) return Promise.resolve();
    return new Promise((resolve) => {
      const late = this.#options.clock.after(WORKER_DRAIN_TURN_MS, resolve);
      this.#closing.set(index, () => {
        late.cancel();
        resolve();
      });
    });
  }

  async #ask(question: WorkerQuestion): Promise<readonly Answer[]> {
    const answers = this.#workers.map((worker) => this.#askOne(worker, question));
    return (await Promise.all(answers)).filter((answer) => answer !== undefined);
  }

  /** `undefined` if the worker is too busy to answer in time. */
  #askOne(worker: WorkerThread, question: WorkerQuestion): Promise<Answer | undefined> {
    const { clock, log } = this.#options;
    this.#questions += 1;
    const id = this.#questions;
    return new Promise((resolve) => {
      const late = clock.after(WORKER_ANSWER_TIMEOUT_MS, () => {
        this.#pending.delete(id);
        log.warn('a data worker did not answer in time', { question: question.what });
        resolve(undefined);
      });
      this.#pending.set(id, (answer) => {
        late.cancel();
        resolve(answer);
      });
      worker.postMessage({ kind: 'ask', id, question });
    });
  }

  #receive(message: WorkerToControl, index: number, ready: () => void): void {
    if (message.kind === 'ready') ready();
    else if (message.kind === 'draining') this.#closing.get(index)?.();
    else if (message.kind === 'drained') this.#gone(index);
    else if (message.kind === 'answer') {
      this.#pending.get(message.id)?.(message);
      this.#pending.delete(message.id);
    } else {
      for (const listener of [...this.#listeners]) listener(message, index);
    }
  }

  #gone(index: number): void {
    this.#drained.add(index);
    this.#closing.get(index)?.();
    if (this.#drained.size === this.#workers.length) this.#allDrained.resolve();
  }

  #died(index: number, reason: string, failStart: ((error: Error) => void) | undefined): void {
    if (this.#stopping) {
      this.#gone(index);
      return;
    }
    this.#stopping = true;
    const error = new WorkerError(`data worker ${index} ended: ${reason}`);
    failStart?.(error);
    this.#options.onDeath(error);
  }
}
