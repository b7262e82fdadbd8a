/**
 * How much is under way in this process, and whether more may begin: never a growing process, and never one that a single
 * client has for itself.
 */
import { IDENTITY_SHARE, SCARCE_SHARE } from '../limits.ts';

export class Admission {
  readonly #requests: Places;
  readonly #connections: Places;

  constructor(maxRequests: number, maxConnections: number) {
    this.#requests = new Places(maxRequests);
    this.#connections = new Places(maxConnections);
  }

  get requests(): number {
    return this.#requests.taken;
  }

  get connections(): number {
    return this.#connections.taken;
  }

  /** How much of either is taken, may be taken, and was turned away; for metrics. */
  report(): Readonly<Record<'requests' | 'connections', PlacesReport>> {
    return { requests: this.#requests.report(), connections: this.#connections.report() };
  }

  /** Whoever is admitted says {@link endRequest} once. @param identity - Whose request it is. */
  tryRequest(identity: string | undefined): boolean {
    return this.#requests.tryTake(identity);
  }

  endRequest(identity: string | undefined): void {
    this.#requests.release(identity);
  }

  /** Whoever is admitted says {@link endConnection} once. */
  tryConnection(identity: string | undefined): boolean {
    return this.#connections.tryTake(identity);
  }

  endConnection(identity: string | undefined): void {
    this.#connections.release(identity);
  }
}

/** Why somebody was turned away. */
export type AdmissionRefusal =
  /** All places are taken. */
  | 'full'
  /** Few are left, and the identity has its share. */
  | 'share';

export interface PlacesReport {
  readonly taken: number;
  readonly max: number;
  readonly refused: Readonly<Record<AdmissionRefusal, number>>;
}

class Places {
  readonly #max: number;
  readonly #refused: Record<AdmissionRefusal, number> = { full: 0, share: 0 };
  readonly #byIdentity = new Map<string | undefined, number>();
  taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  tryTake(identity: string | undefined): boolean {
    const own = this.#byIdentity.get(identity) ?? 0;
    if (this.taken >= this.#max) {
      this.#refused.full += 1;
      return false;
    }
    const isScarce = this.taken >= this.#max * SCARCE_SHARE;
    if (isScarce && own >= this.#max * IDENTITY_SHARE) {
      this.#refused.share += 1;
      return false;
    }
    this.#byIdentity.set(identity, own + 1);
    this.taken += 1;
    return true;
  }

  report(): PlacesReport {
    return { taken: this.taken, max: this.#max, refused: { ...this.#refused } };
  }

  release(identity: string | undefined): void {
    const own = this.#byIdentity.get(identity) ?? 0;
    if (own > 1) this.#byIdentity.set(identity, own - 1);
    else this.#byIdentity.delete(identity);
    this.taken -= 1;
  }
}
