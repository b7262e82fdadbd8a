/**
 * For what fails and is tried again: of each cause, that it is worth a warning, once and then after a while again. What
 * goes on in between is for who looks closer.
 */
export interface ToldCausesOptions {
  /** How long a cause that was told is no news. */
  readonly againMs: number;
  /** Causes that are kept, and so told, in that time. Default: 8. */
  readonly most?: number;
}

const MOST_CAUSES = 8;

export class ToldCauses {
  readonly #againMs: number;
  readonly #most: number;
  /** By cause: when it was told. */
  readonly #toldMs = new Map<string, number>();

  constructor({ againMs, most = MOST_CAUSES }: ToldCausesOptions) {
    this.#againMs = againMs;
    this.#most = most;
  }

  /**
   * Whether it is to be told; then it is not again for a while.
   *
   * @param cause - Equal for failures that are the same to whoever reads of them.
   * @param nowMs - Of a monotonic clock.
   */
  isNews(cause: string, nowMs: number): boolean {
    for (const [told, atMs] of this.#toldMs) if (nowMs - atMs >= this.#againMs) this.#toldMs.delete(told);
    if (this.#toldMs.has(cause) || this.#toldMs.size >= this.#most) return false;
    this.#toldMs.set(cause, nowMs);
    return true;
  }
}
