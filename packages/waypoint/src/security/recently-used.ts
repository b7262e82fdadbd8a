/**
 * Values by text, from the one that was used longest ago to the last one.
 *
 * One that is used again and again stays where it is: to take it out and put it back would replace the table every few
 * times, and a table that is replaced keeps what follows it alive for the collector of young objects.
 */
export class RecentlyUsed<T> {
  readonly #values = new Map<string, T>();
  #last: string | undefined;

  get size(): number {
    return this.#values.size;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** It is used. */
  get(key: string): T | undefined {
    const value = this.#values.get(key);
    if (value !== undefined && key !== this.#last) this.set(key, value);
    return value;
  }

  set(key: string, value: T): void {
    if (key !== this.#last) this.#values.delete(key);
    this.#values.set(key, value);
    this.#last = key;
  }

  /** Not used by it. */
  values(): Iterable<T> {
    return this.#values.values();
  }

  /** @returns Its key; `undefined` when there is none. */
  dropOldest(): string | undefined {
    for (const oldest of this.#values.keys()) {
      this.#values.delete(oldest);
      if (oldest === this.#last) this.#last = undefined;
      return oldest;
    }
    return undefined;
  }
}
