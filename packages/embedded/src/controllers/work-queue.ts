/**
 * Work by key, one at a time: a key that comes again while it waits is done once; work that fails is tried again later.
 *
 * Bounded by the number of different keys, which are names of stored objects.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';

export class WorkQueue {
  readonly #run: (key: string) => Promise<void>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  readonly #waiting = new Set<string>();
  readonly #retries = new Map<string, { readonly backoff: Backoff; timer: Timer | undefined }>();
  #busy = false;
  #stopped = false;

  constructor(run: (key: string) => Promise<void>, clock: Clock, random: Random, log: Logger) {
    this.#run = run;
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
  }

  add(key: string): void {
    if (this.#stopped) return;
    this.#waiting.add(key);
    if (this.#busy) return;
    this.#busy = true;
    queueMicrotask(() => void this.#drain());
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    for (const { timer } of this.#retries.values()) timer?.cancel();
    this.#retries.clear();
  }

  async #drain(): Promise<void> {
    for (const key of this.#waiting) {
      this.#waiting.delete(key);
      try {
        await this.#run(key);
        this.#retries.get(key)?.timer?.cancel();
        this.#retries.delete(key);
      } catch (error) {
        this.#retryLater(key, error);
      }
    }
    this.#busy = false;
  }

  #retryLater(key: string, error: unknown): void {
    if (this.#stopped) return;
    this.#log.warn('background work failed, will be tried again', { key, error: messageOf(error) });
    const retry = this.#retries.get(key) ?? {
      backoff: new Backoff({ initialMs: 50, maxMs: 30_000, jitter: 0.2 }, this.#random),
      timer: undefined,
    };
    this.#retries.set(key, retry);
    retry.timer?.cancel();
    retry.timer = this.#clock.after(retry.backoff.nextMs(), () => this.add(key));
  }
}
