/** The workloads that came in rolls: what a thread has only decoded where it was asked for. The rest is in the other indexes. */
import type { ServiceKey } from '../address.ts';
import { MAX_ROLLS } from '../limits.ts';
import type { Roll } from '../roll/roll.ts';
import type { Workload } from '../workload.ts';

export class Rolls {
  /** In order of arrival. No uid is in two of them. */
  #rolls: readonly Roll[] = [];

  get isFull(): boolean {
    return this.#rolls.length >= MAX_ROLLS;
  }

  /** The caller has removed what had the same uids before. */
  add(roll: Roll): void {
    this.#rolls = [...this.#rolls, roll];
  }

  get(uid: string): Workload | undefined {
    for (const roll of this.#rolls) {
      const found = roll.get(uid);
      if (found) return found;
    }
    return undefined;
  }

  at(network: string, ip: string): readonly Workload[] {
    return this.#rolls.flatMap((roll) => roll.at(network, ip));
  }

  *membersOf(service: ServiceKey): Generator<Workload> {
    for (const roll of this.#rolls) yield* roll.membersOf(service);
  }

  *services(): Generator<ServiceKey> {
    for (const roll of this.#rolls) yield* roll.services();
  }

  *uids(): Generator<string> {
    for (const roll of this.#rolls) yield* roll.uids();
  }

  *values(): Generator<Workload> {
    for (const roll of this.#rolls) yield* roll.values();
  }

  remove(uid: string): Workload | undefined {
    for (const roll of this.#rolls) {
      const removed = roll.remove(uid);
      if (!removed) continue;
      if (roll.size === 0) this.#rolls = this.#rolls.filter((other) => other !== roll);
      return removed;
    }
    return undefined;
  }
}
