/**
 * Work by key, done again until it succeeds: what a controller does.
 *
 * A key that is added while it waits is not added twice; one that is added while it is worked on is worked on again
 * afterwards, a moment later: there may be somebody who undoes what we do whenever we do it. Failures wait longer each
 * time. The queue is bounded by the number of keys.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { WRITE_AGAIN_MS, WRITE_CONCURRENCY, WRITE_RETRY_INITIAL_MS, WRITE_RETRY_MAX_MS } from './limits.ts';

export interface KeyedWorkerOptions {
  /** Names the work in the log. */
  readonly name: string;
  readonly work: (key: string, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class KeyedWorker implements AsyncDisposable {
  readonly #options: KeyedWorkerOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #failing = new Map<string, { readonly backoff: Backoff; timer: Timer }>();
  /** Keys that were worked on just now. */
  readonly #resting = new Map<string, Timer>();
  readonly #abort = new AbortController();

  constructor(options: KeyedWorkerOptions) {
    this.#options = options;
  }

  add(key: string): void {
    if (this.#abort.signal.aborted) return;
    this.#waiting.add(key);
    this.#next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    this.#waiting.clear();
    for (const { timer } of this.#failing.values()) timer.cancel();
    for (const timer of this.#resting.values()) timer.cancel();
    await Promise.all(this.#running.values());
  }

  #next(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= WRITE_CONCURRENCY) return;
      if (this.#running.has(key) || this.#resting.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.set(key, this.#work(key));
    }
  }

  async #work(key: string): Promise<void> {
    const { work, name, log } = this.#options;
    const { signal } = this.#abort;
    try {
      await work(key, signal);
      this.#failing.get(key)?.timer.cancel();
      this.#failing.delete(key);
    } catch (error) {
      if (!signal.aborted) {
        const waitMs = this.#retryLater(key);
        log.warn('not done, trying again', { work: name, key, error: messageOf(error), waitMs });
      }
    }
    this.#running.delete(key);
    if (signal.aborted) return;
    this.#rest(key);
    this.#next();
  }

  #rest(key: string): void {
    const timer = this.#options.clock.after(WRITE_AGAIN_MS, () => {
      this.#resting.delete(key);
      this.#next();
    });
    this.#resting.set(key, timer);
  }

  #retryLater(key: string): number {
    const { clock, random } = this.#options;
    const known = this.#failing.get(key);
    const backoff =
      known?.backoff ??
      new Backoff({ initialMs: WRITE_RETRY_INITIAL_MS, maxMs: WRITE_RETRY_MAX_MS, jitter: 0.2 }, random);
    const waitMs = backoff.nextMs();
    known?.timer.cancel();
    this.#failing.set(key, { backoff, timer: clock.after(waitMs, () => this.add(key)) });
    return waitMs;
  }
}
