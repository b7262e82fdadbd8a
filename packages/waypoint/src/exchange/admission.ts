/**
 * How much is under way in this process, and whether more may begin: never a growing process, and never one that a single
 * client has for itself.
 */
import type { QuestionPlaces } from '@ambit/core/names';
import { IDENTITY_SHARE, LOOKUP_SHARE, LOOKUPS_IN_FLIGHT, SCARCE_SHARE } from '../limits.ts';

export class Admission {
  readonly #requests: Places;
  readonly #connections: Places;
  readonly #lookups: Places;

  constructor(maxRequests: number, maxConnections: number, maxLookups = LOOKUPS_IN_FLIGHT) {
    this.#requests = new Places(maxRequests, SHARE_OF_WHAT_IS_SCARCE);
    this.#connections = new Places(maxConnections, SHARE_OF_WHAT_IS_SCARCE);
    this.#lookups = new Places(maxLookups, { share: LOOKUP_SHARE, from: 0 });
  }

  get requests(): number {
    return this.#requests.taken;
  }

  get connections(): number {
    return this.#connections.taken;
  }

  /** Questions about names that clients bring. */
  get lookups(): QuestionPlaces {
    return this.#lookups;
  }

  /** How much of each is taken, may be taken, and was turned away; for metrics. */
  report(): Readonly<Record<'requests' | 'connections' | 'lookups', PlacesReport>> {
    return {
      requests: this.#requests.report(),
      connections: this.#connections.report(),
      lookups: this.#lookups.report(),
    };
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
  /** The identity has its share of all, or of what is scarce. */
  | 'share';

export interface PlacesReport {
  readonly taken: number;
  readonly max: number;
  readonly refused: Readonly<Record<AdmissionRefusal, number>>;
}

/** How much of all one identity may have, once so much is taken by anybody. */
interface ShareRule {
  readonly share: number;
  readonly from: number;
}

const SHARE_OF_WHAT_IS_SCARCE: ShareRule = { share: IDENTITY_SHARE, from: SCARCE_SHARE };

class Places {
  readonly #max: number;
  readonly #rule: ShareRule;
  readonly #refused: Record<AdmissionRefusal, number> = { full: 0, share: 0 };
  readonly #byIdentity = new Map<string | undefined, number>();
  taken = 0;

  constructor(max: number, rule: ShareRule) {
    this.#max = max;
    this.#rule = rule;
  }

  tryTake(identity: string | undefined): boolean {
    const own = this.#byIdentity.get(identity) ?? 0;
    if (this.taken >= this.#max) {
      this.#refused.full += 1;
      return false;
    }
    const { share, from } = this.#rule;
    if (this.taken >= this.#max * from && own >= this.#max * share) {
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
