/** Identities that wait for the CA: by priority, then by who came first. Asking again can only raise a priority. */

/** Why a certificate is wanted: a connection waits for it, a pod appeared, or an old one ages. */
export type Priority = 'real-time' | 'warmup' | 'background';

const ORDER: readonly Priority[] = ['real-time', 'warmup', 'background'];

export class RequestQueue {
  readonly #lanes = ORDER.map(() => new Set<string>());

  add(identity: string, priority: Priority): void {
    const wanted = ORDER.indexOf(priority);
    const current = this.#lanes.findIndex((lane) => lane.has(identity));
    if (current >= 0 && current <= wanted) return;
    this.remove(identity);
    this.#lanes[wanted]?.add(identity);
  }

  /** The next identity, taken out; `undefined` when nobody waits. */
  take(): string | undefined {
    for (const lane of this.#lanes) {
      for (const identity of lane) {
        lane.delete(identity);
        return identity;
      }
    }
    return undefined;
  }

  remove(identity: string): void {
    for (const lane of this.#lanes) lane.delete(identity);
  }
}
