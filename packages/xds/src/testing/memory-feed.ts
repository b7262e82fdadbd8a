/** A feed held in a map, for tests: values are texts, aliases are given with them. */
import { contentVersion } from '../content-version.ts';
import type { ClientNode, EncodedResource, FeedChange, ResourceFeed } from '../resource-feed.ts';

export class MemoryFeed implements ResourceFeed {
  readonly typeUrl: string;
  readonly #resources = new Map<string, EncodedResource>();
  readonly #listeners = new Set<(change: FeedChange) => void>();
  residentNames: (node: ClientNode) => readonly string[] = () => [];

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  set(
    values: Readonly<Record<string, string | Uint8Array>>,
    aliases: Readonly<Record<string, string[]>> = {},
  ): void {
    for (const [name, content] of Object.entries(values)) {
      const value = typeof content === 'string' ? Buffer.from(content) : content;
      this.#resources.set(name, {
        name,
        value,
        version: contentVersion(value),
        aliases: aliases[name] ?? [],
      });
    }
    this.#notify({ changed: Object.keys(values), removed: [] });
  }

  remove(...names: readonly string[]): void {
    for (const name of names) this.#resources.delete(name);
    this.#notify({ changed: [], removed: names });
  }

  all(): Iterable<EncodedResource> {
    return this.#resources.values();
  }

  get(name: string): EncodedResource | undefined {
    return this.#resources.get(name);
  }

  resolve(key: string): readonly EncodedResource[] {
    const named = this.#resources.get(key);
    if (named) return [named];
    return [...this.#resources.values()].filter((resource) => resource.aliases.includes(key));
  }

  residents(node: ClientNode): readonly EncodedResource[] {
    return this.residentNames(node).flatMap((name) => this.resolve(name));
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #notify(change: FeedChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
