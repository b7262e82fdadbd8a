/** Who waits for which key to be answered. Bounded; a waiter that gives up is forgotten at once. */
import { DemandError } from '../errors.ts';
import { MAX_KEYS_PER_CLIENT } from '../limits.ts';

export class Demands {
  readonly #waiters = new Map<string, Set<() => void>>();
  #closed: Error | undefined;

  /** Resolves when `key` is answered; `ask` is called if nobody waits for it yet, `forget` when nobody does any more. */
  wait(key: string, signal: AbortSignal, ask: () => void, forget: () => void): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const known = this.#waiters.get(key);
    if (!known && this.#waiters.size >= MAX_KEYS_PER_CLIENT) {
      return Promise.reject(new DemandError(`${MAX_KEYS_PER_CLIENT} keys are waited for already`));
    }
    const waiters = known ?? new Set();
    this.#waiters.set(key, waiters);
    return new Promise((resolve, reject) => {
      const settle = () => {
        signal.removeEventListener('abort', giveUp);
        if (this.#closed) reject(this.#closed);
        else resolve();
      };
      const giveUp = () => {
        waiters.delete(settle);
        if (waiters.size === 0 && this.#waiters.get(key) === waiters) {
          this.#waiters.delete(key);
          forget();
        }
        reject(signal.reason as Error);
      };
      waiters.add(settle);
      signal.addEventListener('abort', giveUp, { once: true });
      if (!known) ask();
    });
  }

  answered(key: string): void {
    const waiters = this.#waiters.get(key);
    this.#waiters.delete(key);
    for (const settle of waiters ?? []) settle();
  }

  close(): void {
    this.#closed = new DemandError('the xDS client is shutting down');
    for (const key of [...this.#waiters.keys()]) this.answered(key);
  }
}
