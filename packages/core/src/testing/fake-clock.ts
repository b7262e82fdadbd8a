/** Time that a test moves: timers fire in their order, and what they start settles before the next one fires. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Timer } from '../clock.ts';

interface Pending {
  readonly atMs: number;
  readonly run: () => void;
}

export class FakeClock implements Clock {
  #nowMs: number;
  readonly #pending = new Set<Pending>();

  constructor(nowMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const abandon = () => {
        timer.cancel();
        reject(signal?.reason as Error);
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', abandon);
        resolve();
      });
      signal?.addEventListener('abort', abandon, { once: true });
    });
  }

  after(ms: number, run: () => void): Timer {
    const pending = { atMs: this.#nowMs + ms, run };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  every(ms: number, run: () => void): Timer {
    let timer: Timer;
    const again = () => {
      timer = this.after(ms, again);
      run();
    };
    timer = this.after(ms, again);
    return { cancel: () => timer.cancel() };
  }

  /** Moves time by `ms`, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await nextTurn();
    for (;;) {
      const [next] = [...this.#pending].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
      await nextTurn();
    }
    this.#nowMs = endMs;
  }
}
