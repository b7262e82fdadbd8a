/** Connections that cannot go on until mesh state says more: asked again after each change, for a limited time. */
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
  readonly #waits = new Set<Wait>();

  constructor(mesh: MeshStore, clock: Clock) {
    this.#clock = clock;
    mesh.changes.subscribe(() => this.askAgain());
  }

  /** What `probe` finds, now or within `ms`; `undefined` when time is up or too many wait. */
  until<T>(probe: () => T | undefined, ms: number): Promise<T | undefined> {
    const now = probe();
    if (now !== undefined || this.#waits.size >= MAX_MESH_WAITS) return Promise.resolve(now);
    return new Promise((resolve) => {
      const wait: Wait = {
        ask: () => {
          const found = probe();
          if (found !== undefined) resolve(found);
          return found !== undefined;
        },
        timer: this.#clock.after(ms, () => {
          this.#waits.delete(wait);
          resolve(undefined);
        }),
      };
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
