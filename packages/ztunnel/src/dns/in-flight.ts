/** Counts what is under way, and refuses more than a limit: here, and in all places together. */

export class InFlight {
  readonly #limit: number;
  readonly #all: InFlight | undefined;
  #count = 0;

  /** @param all - A count that this one is part of. */
  constructor(limit: number, all?: InFlight) {
    this.#limit = limit;
    this.#all = all;
  }

  get count(): number {
    return this.#count;
  }

  /** Leave by disposing of the result, once; `undefined` when there is no room. */
  enter(): Disposable | undefined {
    if (this.#count >= this.#limit) return undefined;
    const outer = this.#all?.enter();
    if (this.#all && outer === undefined) return undefined;
    this.#count += 1;
    let isInside = true;
    return {
      [Symbol.dispose]: () => {
        if (!isInside) return;
        isInside = false;
        this.#count -= 1;
        outer?.[Symbol.dispose]();
      },
    };
  }
}
