/** Runs a reconciliation again whenever it is asked to, never twice at once, and again after a pause if it failed. */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';

const GATHER_MS = 10;
const RETRY_MS = 250;

export interface ReconcilerOptions {
  readonly name: string;
  readonly reconcile: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Reconciler implements AsyncDisposable {
  readonly #options: ReconcilerOptions;
  readonly #abort = new AbortController();
  #wanted = false;
  #running: Promise<void> | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Soon, together with whatever else asks within a few milliseconds. */
  trigger(): void {
    this.#wanted = true;
    if (this.#running || this.#abort.signal.aborted) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#wanted) this.trigger();
    });
  }

  async #run(): Promise<void> {
    const { reconcile, clock, log, name } = this.#options;
    const { signal } = this.#abort;
    await clock.sleep(GATHER_MS, signal).catch(() => undefined);
    while (this.#wanted && !signal.aborted) {
      this.#wanted = false;
      try {
        await reconcile(signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn('reconciliation failed, trying again', { what: name, error: messageOf(error) });
        this.#wanted = true;
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    this.#wanted = false;
    await this.#running;
  }
}
