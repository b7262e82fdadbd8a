/** How much is under way in this process, and whether more may begin: never a growing process. */

export class Admission {
  readonly #maxRequests: number;
  readonly #maxConnections: number;
  #requests = 0;
  #connections = 0;
  #refused = 0;

  constructor(maxRequests: number, maxConnections: number) {
    this.#maxRequests = maxRequests;
    this.#maxConnections = maxConnections;
  }

  get requests(): number {
    return this.#requests;
  }

  get connections(): number {
    return this.#connections;
  }

  /** Requests and connections that were turned away. */
  get refused(): number {
    return this.#refused;
  }

  /** Whoever is admitted says {@link endRequest} once. */
  tryRequest(): boolean {
    if (this.#requests >= this.#maxRequests) {
      this.#refused += 1;
      return false;
    }
    this.#requests += 1;
    return true;
  }

  endRequest(): void {
    this.#requests -= 1;
  }

  /** Whoever is admitted says {@link endConnection} once. */
  tryConnection(): boolean {
    if (this.#connections >= this.#maxConnections) {
      this.#refused += 1;
      return false;
    }
    this.#connections += 1;
    return true;
  }

  endConnection(): void {
    this.#connections -= 1;
  }
}
