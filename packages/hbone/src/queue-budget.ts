/**
 * What may be held in memory for applications that do not read, in all and for each pod.
 *
 * Everything a stalled application has not taken is counted here. As it fills, new windows shrink, so that peers send
 * less to everybody who does not read; at the limit, the stream that holds most is cut. A reader that keeps up holds
 * nothing and notices neither.
 */
import type { BytesHolder } from '@ambit/http/held-bytes';
import { Roster } from '@ambit/http/roster';
import { SMALLEST_WINDOW_BYTES } from './limits.ts';

/** Somebody who holds data for a reader, of one budget at a time. */
export type Holder = BytesHolder;

/** How full: each step has peers send a quarter of what they did. */
const STEPS = [0.5, 0.75, 0.9] as const;
/** A step is left only when the fill is this much below it, so that windows do not flutter. */
const HYSTERESIS = 0.1;
const SHRINK = 4;

export class QueueBudget {
  readonly #limitBytes: number;
  readonly #parent: QueueBudget | undefined;
  readonly #holders = new Roster<'budgetPlace', Holder>('budgetPlace');
  /** Budgets within this one that have holders. */
  readonly #children = new Set<QueueBudget>();
  readonly #listeners = new Set<() => void>();
  #usedBytes = 0;
  #evictions = 0;
  #step = 0;

  constructor(limitBytes: number, parent?: QueueBudget) {
    this.#limitBytes = limitBytes;
    this.#parent = parent;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** How often a holder had to let go. */
  get evictions(): number {
    return this.#evictions;
  }

  /** What a stream's window should be now, if it is `bytes` while there is room. */
  windowFor(bytes: number): number {
    const own = bytes / SHRINK ** this.#step;
    return Math.max(
      Math.min(own, this.#parent?.windowFor(bytes) ?? own),
      Math.min(bytes, SMALLEST_WINDOW_BYTES),
    );
  }

  /** Calls `listener` when `windowFor` may answer differently. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    const above = this.#parent?.onChange(listener);
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener);
        above?.[Symbol.dispose]();
      },
    };
  }

  /** `holder` holds `bytes` more. May evict it, or another. */
  add(holder: Holder, bytes: number): void {
    if (this.#parent && this.#isEmpty) this.#parent.#enter(this);
    this.#holders.add(holder);
    this.#take(bytes);
  }

  /** `holder` holds `bytes` less. */
  remove(holder: Holder, bytes: number): void {
    if (holder.heldBytes === 0) this.#holders.delete(holder);
    if (this.#parent && this.#isEmpty) this.#parent.#leave(this);
    this.#give(bytes);
  }

  get #isEmpty(): boolean {
    return this.#holders.size === 0 && this.#children.size === 0;
  }

  #enter(child: QueueBudget): void {
    if (this.#parent && this.#isEmpty) this.#parent.#enter(this);
    this.#children.add(child);
  }

  #leave(child: QueueBudget): void {
    this.#children.delete(child);
    if (this.#parent && this.#isEmpty) this.#parent.#leave(this);
  }

  #take(bytes: number): void {
    this.#usedBytes += bytes;
    this.#restep();
    if (this.#parent) this.#parent.#take(bytes);
    if (this.#usedBytes <= this.#limitBytes) return;
    this.#evictions += 1;
    this.#largest()?.evict();
  }

  #give(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#restep();
    if (this.#parent) this.#parent.#give(bytes);
  }

  #largest(): Holder | undefined {
    let largest: Holder | undefined;
    const look = (holder: Holder | undefined) => {
      if (holder && holder.heldBytes > (largest?.heldBytes ?? 0)) largest = holder;
    };
    for (const holder of this.#holders) look(holder);
    for (const child of this.#children) look(child.#largest());
    return largest;
  }

  #restep(): void {
    const fill = this.#usedBytes / this.#limitBytes;
    let step = this.#step;
    while (step < STEPS.length && fill >= (STEPS[step] ?? 1)) step++;
    while (step > 0 && fill < (STEPS[step - 1] ?? 0) - HYSTERESIS) step--;
    if (step === this.#step) return;
    this.#step = step;
    for (const listener of [...this.#listeners]) listener();
  }
}
