/**
 * Destinations that clients have made by naming a port or a name, and whose they are: the client's that named it first. One
 * client may name as many as it likes, so it has a share of all, and what has to make room is its own, or of whoever has most.
 *
 * Room is made by what nobody uses at the moment: kept connections do not hold a place. What another client has used lately
 * is not the owner's to drive out: it goes only when all are taken, after everything else.
 */
import { FLEETING_DESTINATIONS, FLEETING_KEPT_MS, FLEETING_LOOK_MS, IDENTITY_SHARE } from '../limits.ts';

/** What a place is for. */
interface Held {
  /** Nothing is under way there. */
  readonly isIdle: boolean;
}

interface Place<T> {
  readonly key: string;
  readonly one: T;
  /** Who named it first, by identity. */
  readonly client: string | undefined;
  /** When anybody else last named it; milliseconds of the monotonic clock, as all here. */
  othersMs: number;
}

interface Owned<T> {
  readonly places: Set<Place<T>>;
  /** When they were last looked through for what the owner alone uses, and for anything idle. */
  readonly lookedMs: Record<Kind, number>;
}

type Kind = 'own' | 'any';

export class Fleeting<T extends Held> {
  readonly #places = new Map<string, Place<T>>();
  readonly #byClient = new Map<string | undefined, Owned<T>>();

  add(key: string, one: T, client: string | undefined): void {
    const never = Number.NEGATIVE_INFINITY;
    const place: Place<T> = { key, one, client, othersMs: never };
    const owned = this.#byClient.get(client) ?? {
      places: new Set(),
      lookedMs: { own: never, any: never },
    };
    this.#byClient.set(client, owned);
    owned.places.add(place);
    this.#places.set(key, place);
  }

  /** `client` names what is there already. */
  used(key: string, client: string | undefined, nowMs: number): void {
    const place = this.#places.get(key);
    if (place && place.client !== client) place.othersMs = nowMs;
  }

  delete(key: string): void {
    const place = this.#places.get(key);
    if (!place) return;
    this.#places.delete(key);
    const owned = this.#byClient.get(place.client);
    owned?.places.delete(place);
    if (owned?.places.size === 0) this.#byClient.delete(place.client);
  }

  *entries(): Generator<readonly [key: string, one: T]> {
    for (const { key, one } of this.#places.values()) yield [key, one];
  }

  /**
   * Whether there is room for one more of `client`, once those that have to make room for it are forgotten.
   *
   * @param forget - Has to {@link delete} it.
   */
  hasRoom(client: string | undefined, nowMs: number, forget: (key: string, one: T) => void): boolean {
    const isFull = () => this.#places.size >= FLEETING_DESTINATIONS;
    const own = () => this.#byClient.get(client)?.places.size ?? 0;
    const hasItsShare = () => own() >= FLEETING_DESTINATIONS * IDENTITY_SHARE;
    if (hasItsShare()) forgetIdle(this.#byClient.get(client), 'own', nowMs, forget);
    else if (isFull()) {
      const all = [...this.#byClient.values()].sort((a, b) => b.places.size - a.places.size);
      for (const kind of ['own', 'any'] as const) {
        for (const owned of all) {
          if (!isFull()) break;
          forgetIdle(owned, kind, nowMs, forget);
        }
      }
    }
    return !hasItsShare() && !isFull();
  }
}

/** To look through them costs more than a refusal may: not again at once, however little was found. */
function forgetIdle<T extends Held>(
  owned: Owned<T> | undefined,
  kind: Kind,
  nowMs: number,
  forget: (key: string, one: T) => void,
): void {
  if (!owned || nowMs < owned.lookedMs[kind] + FLEETING_LOOK_MS) return;
  owned.lookedMs[kind] = nowMs;
  for (const { key, one, othersMs } of [...owned.places]) {
    const mayGo = kind === 'any' || nowMs >= othersMs + FLEETING_KEPT_MS;
    if (mayGo && one.isIdle) forget(key, one);
  }
}
