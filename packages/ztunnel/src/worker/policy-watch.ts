/**
 * Asks policy again about every open inbound connection that a change may concern, and cuts those it now refuses.
 *
 * Each is asked with the same words as when it opened, against the mesh as it is when its turn comes. The work is done in
 * slices, so that ten thousand connections do not hold up the rest.
 */
import type { Clock } from '@ambit/core/clock';
import type { MeshChange } from '@ambit/model/store';
import { isRefusedNow } from './authorization.ts';
import type { Connection } from './connection.ts';
import { PolicyChangeError } from './errors.ts';
import { SLICE_MS, SLICE_STEP } from './limits.ts';
import type { Pod } from './pod.ts';

export class PolicyWatch {
  readonly #clock: Clock;
  #queue: Connection[] = [];
  #next = 0;
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  changed(change: MeshChange, pods: Iterable<Pod>): void {
    for (const pod of pods) {
      const uid = pod.workload?.uid;
      if (change.policies || (uid !== undefined && change.workloads.has(uid))) this.#ask(pod);
    }
    if (!this.#scheduled) this.#work();
  }

  #ask(pod: Pod): void {
    for (const connection of pod.connections) {
      if (connection.awaitsPolicy || connection.authorization === undefined) continue;
      connection.awaitsPolicy = true;
      this.#queue.push(connection);
    }
  }

  #work(): void {
    this.#scheduled = false;
    const until = this.#clock.monotonicMs() + SLICE_MS;
    while (this.#next < this.#queue.length) {
      const end = Math.min(this.#next + SLICE_STEP, this.#queue.length);
      for (; this.#next < end; this.#next++) check(this.#queue[this.#next]);
      if (this.#clock.monotonicMs() < until || this.#next === this.#queue.length) continue;
      this.#scheduled = true;
      setImmediate(() => this.#work());
      return;
    }
    this.#queue = [];
    this.#next = 0;
  }
}

function check(connection: Connection | undefined): void {
  if (!connection) return;
  connection.awaitsPolicy = false;
  const { authorization, pod, isEnded } = connection;
  const local = pod.workload;
  if (isEnded || !authorization || !local) return;
  if (isRefusedNow(pod, local, authorization)) connection.cut(new PolicyChangeError());
}
