/**
 * Keeps the status of objects of one kind as it should be: writes where it differs, and whenever it comes to differ.
 *
 * What is to be written is decided anew at the moment of writing. What cannot be written is tried again, later each time;
 * an object that is gone is let go.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { isNotFound } from '@ambit/kube/errors';
import { KeyedWorker } from '../keyed-worker.ts';

/** What every writer of statuses is given. */
export interface StatusSources<T, W> {
  readonly objects: Collection<string, T>;
  /** What the status should be, by the same keys. */
  readonly wanted: Collection<string, W>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface StatusWriterOptions<T, W, S> extends StatusSources<T, W> {
  /** Names the work in the log. */
  readonly name: string;
  /**
   * What is to be written; `undefined` if the object is as it should be, or is not to be touched.
   *
   * @param nowMs - Since 1970.
   */
  readonly toWrite: (object: T, wanted: W | undefined, nowMs: number) => S | undefined;
  /** Rejects if it could not be written. */
  readonly write: (object: T, due: S, signal: AbortSignal) => Promise<void>;
}

export class StatusWriter<T, W, S> implements AsyncDisposable {
  readonly #options: StatusWriterOptions<T, W, S>;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: StatusWriterOptions<T, W, S>) {
    const { objects, wanted, name, clock, random, log } = options;
    this.#options = options;
    const work = (key: string, signal: AbortSignal) => this.#write(key, signal);
    this.#worker = this.#scope.use(new KeyedWorker({ name, work, clock, random, log }));
    const look = (events: readonly { readonly key: string }[]) => {
      for (const { key } of events) this.#look(key);
    };
    // Also when only the object changed: somebody may have edited its status.
    this.#scope.use(objects.subscribe(look));
    this.#scope.use(wanted.subscribe(look));
    for (const key of objects.keys()) this.#look(key);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(key: string): void {
    if (this.#due(key)) this.#worker.add(key);
  }

  #due(key: string): { readonly object: T; readonly status: S } | undefined {
    const { objects, wanted, toWrite, clock } = this.#options;
    const object = objects.get(key);
    if (object === undefined) return undefined;
    const status = toWrite(object, wanted.get(key), clock.now());
    return status === undefined ? undefined : { object, status };
  }

  async #write(key: string, signal: AbortSignal): Promise<void> {
    const due = this.#due(key);
    if (!due) return;
    try {
      await this.#options.write(due.object, due.status, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
