/** What has changed since it was last told: names, and whether they exist. */
import type { FeedChange } from '@ambit/xds/resource-feed';

export class PendingChange {
  readonly #exists = new Map<string, boolean>();
  readonly #listeners = new Set<(change: FeedChange) => void>();

  note(name: string, exists: boolean): void {
    this.#exists.set(name, exists);
  }

  tell(): void {
    if (this.#exists.size === 0) return;
    const named = (exists: boolean) =>
      [...this.#exists].filter(([, given]) => given === exists).map(([name]) => name);
    const change = { changed: named(true), removed: named(false) };
    this.#exists.clear();
    for (const listener of [...this.#listeners]) listener(change);
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
