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

  /** Requests and connections that were turned away. */
  get refused(): number {
    return this.#requests.refused + this.#connections.refused;
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

class Places {
  readonly #max: number;
  readonly #byIdentity = new Map<string | undefined, number>();
  taken = 0;
  refused = 0;

  constructor(max: number) {
    this.#max = max;
  }

  tryTake(identity: string | undefined): boolean {
    const own = this.#byIdentity.get(identity) ?? 0;
    const isScarce = this.taken >= this.#max * SCARCE_SHARE;
    if (this.taken >= this.#max || (isScarce && own >= this.#max * IDENTITY_SHARE)) {
      this.refused += 1;
      return false;
    }
    this.#byIdentity.set(identity, own + 1);
    this.taken += 1;
    return true;
  }

  release(identity: string | undefined): void {
    const own = this.#byIdentity.get(identity) ?? 0;
    if (own > 1) this.#byIdentity.set(identity, own - 1);
    else this.#byIdentity.delete(identity);
    this.taken -= 1;
  }
}
