/**
 * What a connection holds for a peer that does not read, told to whoever bounds the sum.
 *
 * Only what no exchange answers for is counted here: the end of an answer that is whole, what came ahead of its turn, and
 * what switched protocols. Whoever has an exchange knows what it has not credited, and counts that.
 */
import { NOWHERE } from './roster.ts';

/** Bounds the sum of what holders hold, and evicts one when it is reached. */
export interface HeldBudget {
  add(holder: BytesHolder, bytes: number): void;
  remove(holder: BytesHolder, bytes: number): void;
  /** What a stream's window should be now, if it is `bytes` while there is room. */
  windowFor(bytes: number): number;
  /** Calls `listener` when `windowFor` may answer differently. */
  onChange(listener: () => void): Disposable;
}

export interface BytesHolder {
  readonly heldBytes: number;
  /** Of the budget; starts as `NOWHERE`. */
  budgetPlace: number;
  /** The budget is used up and this holder has most of it: give it back now. */
  evict(): void;
}

export class HeldBytes implements BytesHolder {
  /** @internal */
  budgetPlace = NOWHERE;
  readonly #budget: HeldBudget;
  readonly #onEvict: () => void;
  #bytes = 0;

  /** @param onEvict - Ends what holds the bytes; it says `set(0)` then. */
  constructor(budget: HeldBudget, onEvict: () => void) {
    this.#budget = budget;
    this.#onEvict = onEvict;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** So much is held now. */
  set(bytes: number): void {
    const change = bytes - this.#bytes;
    if (change === 0) return;
    this.#bytes = bytes;
    if (change > 0) this.#budget.add(this, change);
    else this.#budget.remove(this, -change);
  }

  /** @internal */
  evict(): void {
    this.#onEvict();
  }
}
