/**
 * Destinations that clients have made by naming a port or a name, and whose they are: the client's that named it first. One
 * client may name as many as it likes, so it has a share of all, and what has to make room is its own, or of whoever has most.
 *
 * Room is made by what nobody uses at the moment: kept connections do not hold a place.
 */
import { FLEETING_DESTINATIONS, FLEETING_LOOK_MS, IDENTITY_SHARE } from '../limits.ts';

/** What a place is for. */
interface Held {
  /** Nothing is under way there. */
  readonly isIdle: boolean;
}

interface Owned<T> {
  readonly held: Map<string, T>;
  /** When none of these was idle; milliseconds of the monotonic clock. */
  busyMs: number;
}

export class Fleeting<T extends Held> {
  /** By the client's identity. */
  readonly #byClient = new Map<string | undefined, Owned<T>>();
  /** Whose each is. */
  readonly #clients = new Map<string, string | undefined>();

  add(key: string, one: T, client: string | undefined): void {
    const owned = this.#byClient.get(client) ?? { held: new Map(), busyMs: Number.NEGATIVE_INFINITY };
    this.#byClient.set(client, owned);
    owned.held.set(key, one);
    this.#clients.set(key, client);
  }

  delete(key: string): void {
    const client = this.#clients.get(key);
    if (!this.#clients.delete(key)) return;
    const owned = this.#byClient.get(client);
    owned?.held.delete(key);
    if (owned?.held.size === 0) this.#byClient.delete(client);
  }

  *entries(): Generator<readonly [key: string, one: T]> {
    for (const { held } of this.#byClient.values()) yield* held;
  }

  /**
   * Whether there is room for one more of `client`, once those that have to make room for it are forgotten.
   *
   * @param forget - Has to {@link delete} it.
   */
  hasRoom(client: string | undefined, nowMs: number, forget: (key: string, one: T) => void): boolean {
    const isFull = () => this.#clients.size >= FLEETING_DESTINATIONS;
    const own = () => this.#byClient.get(client)?.held.size ?? 0;
    const hasItsShare = () => own() >= FLEETING_DESTINATIONS * IDENTITY_SHARE;
    if (hasItsShare()) forgetIdle(this.#byClient.get(client), nowMs, forget);
    else if (isFull()) {
      for (const owned of [...this.#byClient.values()].sort((a, b) => b.held.size - a.held.size)) {
        forgetIdle(owned, nowMs, forget);
        if (!isFull()) break;
      }
    }
    return !hasItsShare() && !isFull();
  }
}

/** To look through them costs more than a refusal may: not again at once where all were busy. */
function forgetIdle<T extends Held>(
  owned: Owned<T> | undefined,
  nowMs: number,
  forget: (key: string, one: T) => void,
): void {
  if (!owned || nowMs < owned.busyMs + FLEETING_LOOK_MS) return;
  const idle = [...owned.held].filter(([, { isIdle }]) => isIdle);
  if (idle.length === 0) owned.busyMs = nowMs;
  for (const [key, one] of idle) forget(key, one);
}
