/**
 * Asks policy again about every open inbound connection that a change may concern, and cuts those it now refuses.
 *
 * Each is asked with the same words as when it opened, against the mesh as it is when its turn comes. The work is done in
 * slices, so that ten thousand connections do not hold up the rest. One whose policies are on their way is given the time
 * that a new connection would wait for them, and is cut then; and so is one about which a fault of ours keeps us from asking,
 * since nobody knows that it may go on.
 */
import type { Clock } from '@ambit/core/clock';
import type { MeshChange } from '@ambit/model/store';
import { ALLOWED, standing, type Standing } from './authorization.ts';
import type { Connection } from './connection.ts';
import { FaultError, PolicyChangeError } from './errors.ts';
import { MISSING_POLICY_WAIT_MS, SLICE_MS, SLICE_STEP } from './limits.ts';
import type { Pod } from './pod.ts';

export class PolicyWatch {
  readonly #clock: Clock;
  #queue: Connection[] = [];
  #next = 0;
  #scheduled = false;
  /** Connections whose policies are on their way → until when, on the monotonic clock; the earliest first. */
  readonly #waiting = new Map<Connection, number>();
  #hasTimer = false;

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
      for (; this.#next < end; this.#next++) this.#check(this.#queue[this.#next]);
      if (this.#clock.monotonicMs() < until || this.#next === this.#queue.length) continue;
      this.#scheduled = true;
      setImmediate(() => this.#work());
      return;
    }
    this.#queue = [];
    this.#next = 0;
  }

  #check(connection: Connection | undefined): void {
    if (!connection) return;
    connection.awaitsPolicy = false;
    const now = standingOf(connection);
    if (now.kind === 'unknown') {
      if (!this.#waiting.has(connection)) this.#wait(connection);
      return;
    }
    this.#waiting.delete(connection);
    cutUnlessAllowed(connection, now);
  }

  #wait(connection: Connection): void {
    this.#waiting.set(connection, this.#clock.monotonicMs() + MISSING_POLICY_WAIT_MS);
    if (!this.#hasTimer) this.#wake(MISSING_POLICY_WAIT_MS);
  }

  #wake(ms: number): void {
    this.#hasTimer = true;
    this.#clock.after(ms, () => this.#timeIsUp());
  }

  #timeIsUp(): void {
    this.#hasTimer = false;
    const nowMs = this.#clock.monotonicMs();
    for (const [connection, untilMs] of this.#waiting) {
      if (untilMs > nowMs) {
        this.#wake(untilMs - nowMs);
        return;
      }
      this.#waiting.delete(connection);
      cutUnlessAllowed(connection, standingOf(connection));
    }
  }
}

/** `fault`: nobody can tell. */
type Found = Standing | { readonly kind: 'fault'; readonly error: FaultError };

function standingOf({ authorization, pod, isEnded }: Connection): Found {
  try {
    const local = pod.workload;
    return isEnded || !authorization || !local ? ALLOWED : standing(pod, local, authorization);
  } catch (error) {
    pod.tellFault(error);
    return { kind: 'fault', error: new FaultError({ cause: error }) };
  }
}

function cutUnlessAllowed(connection: Connection, now: Found): void {
  if (now.kind === 'allowed') return;
  connection.cut(now.kind === 'fault' ? now.error : new PolicyChangeError(now.policies));
}
