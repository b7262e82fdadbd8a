/** One algorithm over one list of endpoints, all of which may be used. */
import type { Random } from '@ambit/core/clock';

export interface PickContext {
  /** `undefined`: any will do. */
  readonly hash: number | undefined;
  /** `Clock.monotonicMs`. */
  readonly nowMs: number;
  readonly random: Random;
}

export interface Picker<E> {
  /** @param attempt - 0 first; a higher one asks for another endpoint than before, if the algorithm can say so. */
  pick(context: PickContext, attempt: number): E;
}

export interface Weighted<E> {
  readonly endpoint: E;
  /** Above 0. */
  readonly weight: number;
}

/** The share of its weight that an endpoint gets now: it grows from a tenth while it is new. */
export type Warmth<E> = (endpoint: E, nowMs: number) => number;
