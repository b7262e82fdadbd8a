/** Stops a source for as long as anybody asks for that. */
export class Brake {
  readonly #source: { pause(): unknown; resume(): unknown };
  readonly #holders = new Set<unknown>();

  constructor(source: { pause(): unknown; resume(): unknown }) {
    this.#source = source;
  }

  hold(holder: unknown): void {
    this.#holders.add(holder);
    this.#source.pause();
  }

  release(holder: unknown): void {
    if (this.#holders.delete(holder) && this.#holders.size === 0) this.#source.resume();
  }
}
