/** A clock that stands still until a test moves it. */
import type { Clock, Timer } from '@ambit/core/clock';

interface Alarm {
  readonly atMs: number;
  readonly ring: () => void;
}

export class FakeClock implements Clock {
  #nowMs = 1_000_000;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const timer = this.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        timer.cancel();
        reject(signal.reason as Error);
      });
    });
  }

  after(ms: number, run: () => void): Timer {
    const alarm = { atMs: this.#nowMs + ms, ring: run };
    this.#alarms.add(alarm);
    return { cancel: () => void this.#alarms.delete(alarm) };
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

  advance(ms: number): void {
    const until = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#alarms].filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      this.#alarms.delete(due);
      due.ring();
    }
    this.#nowMs = until;
  }
}
