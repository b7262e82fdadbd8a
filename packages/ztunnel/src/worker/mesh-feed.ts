/**
 * Mesh state as it arrives from the control thread, applied in slices that never hold up connections for long.
 *
 * A small change is one batch. A large one is seen in parts, in its own order: removals, then a roll whole, then the rest;
 * only its end is reported.
 */
import type { Clock } from '@ambit/core/clock';
import { Interner } from '@ambit/model/intern';
import type { MeshStore } from '@ambit/model/store';
import { applyMeshDelta, LOCAL_FILE_TYPE_URL } from '../threads/mesh-delta.ts';
import type { MeshDeltaMessage } from '../threads/messages.ts';
import { SLICE_MS, SLICE_STEP } from './limits.ts';

export class MeshFeed {
  readonly #mesh: MeshStore;
  readonly #clock: Clock;
  readonly #applied: (message: MeshDeltaMessage) => void;
  readonly #interner = new Interner();
  readonly #queue: MeshDeltaMessage[] = [];
  /** Upserts of the first message that are done. */
  #done = 0;
  #scheduled = false;

  constructor(mesh: MeshStore, clock: Clock, applied: (message: MeshDeltaMessage) => void) {
    this.#mesh = mesh;
    this.#clock = clock;
    this.#applied = applied;
  }

  push(message: MeshDeltaMessage): void {
    this.#queue.push(message);
    if (!this.#scheduled) this.#work();
  }

  #work(): void {
    this.#scheduled = false;
    const until = this.#clock.monotonicMs() + SLICE_MS;
    for (let message = this.#queue[0]; message; message = this.#queue[0]) {
      this.#step(message);
      if (this.#done >= message.upserts.length) {
        this.#queue.shift();
        this.#done = 0;
        this.#applied(message);
      }
      if (this.#queue.length === 0 || this.#clock.monotonicMs() < until) continue;
      this.#scheduled = true;
      setImmediate(() => this.#work());
      return;
    }
  }

  #step(message: MeshDeltaMessage): void {
    const { upserts, typeUrl } = message;
    const isWhole = typeUrl === LOCAL_FILE_TYPE_URL || upserts.length <= SLICE_STEP;
    const end = isWhole ? upserts.length : this.#done + SLICE_STEP;
    applyMeshDelta(
      this.#mesh,
      isWhole
        ? message
        : {
            ...message,
            upserts: upserts.slice(this.#done, end),
            removed: this.#done === 0 ? message.removed : [],
            roll: this.#done === 0 ? message.roll : undefined,
          },
      this.#interner,
    );
    this.#done = end;
  }
}
