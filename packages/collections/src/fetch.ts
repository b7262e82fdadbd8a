/**
 * How a computation looks at other collections, so that it runs again when, and only when, what it saw has changed.
 *
 * A dependency is on one key of one collection, present or not; or on those elements under a key of an index that pass
 * a test. There is no dependency on "everything": that is an index with one key, or a singleton's own business.
 */
import type { Collection, Event, GraphNode } from './collection.ts';

/** An index: under each key, the values that belong there. */
export type Groups<V> = Collection<string, readonly V[]>;

export interface Fetch {
  /** The value under `key`, also a dependency when there is none yet. */
  get<K, V>(from: Collection<K, V>, key: K): V | undefined;
  /** All values under an index's key; runs again when any of them changes. */
  group<V>(from: Groups<V>, key: string): readonly V[];
  /** Those values under an index's key that pass; runs again only when one that passes comes, goes or changes. */
  where<V>(from: Groups<V>, key: string, passes: (value: V) => boolean): readonly V[];
}

type Test = (value: unknown) => boolean;

/** Those who look at one key of one input. Most keys are looked at in one way only, and by few. */
class Watchers<D> {
  readonly input: GraphNode;
  readonly key: unknown;
  whole: Set<D> | undefined;
  tests: Map<D, readonly Test[]> | undefined;

  constructor(input: GraphNode, key: unknown) {
    this.input = input;
    this.key = key;
  }

  /** Whether nobody is left. */
  forget(dependent: D): boolean {
    this.whole?.delete(dependent);
    this.tests?.delete(dependent);
    return (this.whole?.size ?? 0) + (this.tests?.size ?? 0) === 0;
  }
}

/** Who depends on what: for each input and key, the dependents `D`, and the way back. */
export class Dependencies<D> {
  readonly #byInput = new Map<GraphNode, Map<unknown, Watchers<D>>>();
  readonly #byDependent = new Map<D, Watchers<D>[]>();
  readonly #inputs: ReadonlySet<GraphNode>;
  readonly #owner: string;

  constructor(owner: string, inputs: readonly GraphNode[]) {
    this.#owner = owner;
    this.#inputs = new Set(inputs);
  }

  /** Forgets what `dependent` saw, and gives it eyes for its next look. */
  fresh(dependent: D): Fetch {
    this.forget(dependent);
    return {
      get: (from, key) => {
        this.#watchWhole(dependent, from, key);
        return from.get(key);
      },
      group: (from, key) => {
        this.#watchWhole(dependent, from, key);
        return from.get(key) ?? [];
      },
      where: (from, key, passes) => {
        const watchers = this.#watchers(from, key);
        watchers.tests ??= new Map();
        const known = watchers.tests.get(dependent);
        if (!known && !watchers.whole?.has(dependent)) this.#note(dependent, watchers);
        watchers.tests.set(dependent, [...(known ?? []), passes as Test]);
        return (from.get(key) ?? []).filter(passes);
      },
    };
  }

  forget(dependent: D): void {
    for (const watchers of this.#byDependent.get(dependent) ?? []) {
      if (watchers.forget(dependent)) this.#byInput.get(watchers.input)?.delete(watchers.key);
    }
    this.#byDependent.delete(dependent);
  }

  /** Who must run again, now that `event` has happened in `input`. */
  *affected(input: GraphNode, event: Event<unknown, unknown>): Iterable<D> {
    const watchers = this.#byInput.get(input)?.get(event.key);
    if (!watchers) return;
    yield* watchers.whole ?? [];
    if (!watchers.tests?.size) return;
    const changed = difference(asGroup(event.previous), asGroup(event.value));
    for (const [dependent, tests] of watchers.tests) {
      if (changed.some((value) => tests.some((passes) => passes(value)))) yield dependent;
    }
  }

  #watchWhole(dependent: D, input: GraphNode, key: unknown): void {
    const watchers = this.#watchers(input, key);
    watchers.whole ??= new Set();
    if (watchers.whole.has(dependent)) return;
    if (!watchers.tests?.has(dependent)) this.#note(dependent, watchers);
    watchers.whole.add(dependent);
  }

  #note(dependent: D, watchers: Watchers<D>): void {
    const seen = this.#byDependent.get(dependent);
    if (seen) seen.push(watchers);
    else this.#byDependent.set(dependent, [watchers]);
  }

  #watchers(input: GraphNode, key: unknown): Watchers<D> {
    if (!this.#inputs.has(input))
      throw new Error(`${this.#owner} looks at ${input.name} without naming it as an input`);
    const keys = this.#byInput.get(input) ?? new Map<unknown, Watchers<D>>();
    this.#byInput.set(input, keys);
    const watchers = keys.get(key) ?? new Watchers<D>(input, key);
    keys.set(key, watchers);
    return watchers;
  }
}

function asGroup(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

/** What is in one of the two but not in both. */
function difference(before: readonly unknown[], after: readonly unknown[]): readonly unknown[] {
  return [...new Set(before).symmetricDifference(new Set(after))];
}
