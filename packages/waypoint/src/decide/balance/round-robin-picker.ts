/**
 * Round robin by weight: each endpoint has a deadline that moves on by one over its weight whenever it is picked, and the
 * earliest is next. With equal weights that is one after the other.
 */
import type { Picker, PickContext, Warmth, Weighted } from './picker.ts';

interface Scheduled<E> extends Weighted<E> {
  deadline: number;
  /** Where deadlines are equal, the order of the list. */
  readonly order: number;
}

export class RoundRobinPicker<E> implements Picker<E> {
  /** A heap: no entry is due before its parent. */
  readonly #heap: Scheduled<E>[];
  readonly #warmth: Warmth<E> | undefined;

  /**
   * @param entries - At least one.
   * @param start - In [0, 1): where in the list to begin, so that many processes do not all begin at one endpoint.
   */
  constructor(entries: readonly Weighted<E>[], warmth: Warmth<E> | undefined, start: number) {
    const first = Math.floor(start * entries.length);
    this.#heap = [...entries.slice(first), ...entries.slice(0, first)].map((entry, order) => ({
      ...entry,
      deadline: 1 / entry.weight,
      order,
    }));
    this.#heap.sort(compare);
    this.#warmth = warmth;
  }

  pick({ nowMs }: PickContext): E {
    const next = this.#heap[0];
    if (next === undefined) throw new RangeError('a picker without endpoints');
    const warmth = this.#warmth?.(next.endpoint, nowMs) ?? 1;
    next.deadline += 1 / (next.weight * warmth);
    this.#sink();
    return next.endpoint;
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        const [a, b] = [heap[child], heap[least]];
        if (a && b && compare(a, b) < 0) least = child;
      }
      if (least === at) return;
      const [moved, raised] = [heap[at], heap[least]];
      if (moved && raised) [heap[at], heap[least]] = [raised, moved];
      at = least;
    }
  }
}

function compare<E>(a: Scheduled<E>, b: Scheduled<E>): number {
  return a.deadline - b.deadline || a.order - b.order;
}
