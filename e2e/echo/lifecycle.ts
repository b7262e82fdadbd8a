/**
 * How the application ends: told to, it drains for a while, so that everybody learns of it, and then closes.
 *
 * Draining is what a well-behaved application does between SIGTERM and its end: new connections are served still (not
 * every node has heard of the end), held ones are asked to go elsewhere.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export class Lifecycle {
  readonly #drainMs: number;
  readonly #onDrain: (() => void)[] = [];
  readonly #onEnd: (() => Promise<void>)[] = [];
  #draining = false;

  constructor(drainMs: number) {
    this.#drainMs = drainMs;
  }

  get draining(): boolean {
    return this.#draining;
  }

  onDrain(act: () => void): void {
    this.#onDrain.push(act);
  }

  onEnd(act: () => Promise<void>): void {
    this.#onEnd.push(act);
  }

  /** Resolves when everything is closed. */
  async end(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    for (const act of this.#onDrain) act();
    await sleep(this.#drainMs);
    await Promise.all(this.#onEnd.map((act) => act()));
  }
}
