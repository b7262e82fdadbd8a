/**
 * One object for what many workloads have in common: a namespace's name, a node, the ports of a service.
 *
 * Sharing is best effort: past a bound the table starts afresh, so names that come and go cannot fill memory. Interned
 * values must be immutable.
 */
import { MAX_INTERNED } from './limits.ts';

export class Interner {
  readonly #values = new Map<string, unknown>();

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
}
