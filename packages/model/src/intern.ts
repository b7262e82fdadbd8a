/**
 * One object for what many workloads have in common: a namespace's name, a node, the ports of a service.
 *
 * Sharing is best effort: past a bound the table starts afresh, so names that come and go cannot fill memory. Interned
 * values must be immutable.
 */
import { MAX_ALIKE, MAX_INTERNED } from './limits.ts';
import type { Workload } from './workload.ts';

export class Interner {
  readonly #values = new Map<string, unknown>();
  /** One of the workloads that say the same, by what they say; see decode/replicas.ts. */
  readonly #alike = new Map<string, Workload>();

  /** The first string that was equal to `text`. */
  text(text: string): string {
    return text === '' ? '' : this.value(text, () => text);
  }

  /** The value made before for `key`, or else the one that `make` makes now. The key must say all that the value says. */
  value<T>(key: string, make: () => T): T {
    const known = this.#values.get(key) as T | undefined;
    if (known !== undefined) return known;
    if (this.#values.size >= MAX_INTERNED) this.#values.clear();
    const made = make();
    this.#values.set(key, made);
    return made;
  }

  /** A workload that says the same, as {@link remember} was told. */
  alike(rest: string): Workload | undefined {
    return this.#alike.get(rest);
  }

  remember(rest: string, workload: Workload): void {
    if (this.#alike.size >= MAX_ALIKE) this.#alike.clear();
    this.#alike.set(rest, workload);
  }
}
