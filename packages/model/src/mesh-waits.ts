/**
 * Connections that cannot go on until mesh state says more: asked again after each change, for a limited time.
 *
 * A fault in what one of them asks is that one's: neither the change nor who else waits for it hears of it.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import type { MeshStore } from './store.ts';
import { MAX_MESH_WAITS } from './limits.ts';

interface Wait {
  /** Whether it is over. */
  ask(): boolean;
  timer: Timer | undefined;
}

export class MeshWaits {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #waits = new Set<Wait>();

  /** @param limit - How many may wait. */
  constructor(mesh: MeshStore, clock: Clock, limit = MAX_MESH_WAITS) {
    this.#clock = clock;
    this.#limit = limit;
    mesh.changes.subscribe(() => this.askAgain());
  }

  /**
   * What `probe` finds, now or within `ms`; `undefined` when time is up or too many wait. Rejects with what `probe` throws
   * later, and throws what it throws now.
   *
   * @param stop - Nobody wants it any more: `undefined` at once.
   */
  until<T>(probe: () => T | undefined, ms: number, stop?: AbortSignal): Promise<T | undefined> {
    const now = probe();
    if (now !== undefined || stop?.aborted || this.#waits.size >= this.#limit) return Promise.resolve(now);
    return new Promise((resolve, reject) => {
      const end = () => {
        wait.timer?.cancel();
        this.#waits.delete(wait);
        resolve(undefined);
      };
      const wait: Wait = {
        ask: () => {
          try {
            const found = probe();
            if (found !== undefined) resolve(found);
            return found !== undefined;
          } catch (error) {
            reject(error);
            return true;
          }
        },
        timer: this.#clock.after(ms, end),
      };
      stop?.addEventListener('abort', end, { once: true });
      this.#waits.add(wait);
    });
  }

  /** Something that a probe looks at has changed. */
  askAgain(): void {
    for (const wait of [...this.#waits]) {
      if (!wait.ask()) continue;
      wait.timer?.cancel();
      this.#waits.delete(wait);
    }
  }
}
