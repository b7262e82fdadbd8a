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

  has(uid: string): boolean {
    return this.#rolls.some((roll) => roll.has(uid));
  }

  at(network: string, ip: string): readonly Workload[] {
    return this.#rolls.flatMap((roll) => roll.at(network, ip));
  }

  /** @param keep - As {@link Roll.membersOf} has it. */
  *membersOf(service: ServiceKey, keep: boolean): Generator<Workload> {
    for (const roll of this.#rolls) yield* roll.membersOf(service, keep);
  }

  *services(): Generator<ServiceKey> {
    for (const roll of this.#rolls) yield* roll.services();
  }

  *values(): Generator<Workload> {
    for (const roll of this.#rolls) yield* roll.values();
  }

  /** Removes what `gone` has, undecoded. The services that may have lost endpoints by that. */
  removeAllOf(gone: { has(uid: string): boolean }): readonly ServiceKey[] {
    const concerned = this.#rolls.filter((roll) => roll.removeAllOf(gone));
    this.#rolls = this.#rolls.filter((roll) => roll.size > 0);
    return concerned.flatMap((roll) => [...roll.services()]);
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
