/**
 * What is left of an HTTP/1.1 connection after it switched protocols: bytes both ways, each way ending by itself.
 */
import { Duplex } from 'node:stream';
import { type HeldBudget, HeldBytes } from '../held-bytes.ts';
import type { TransportEvents } from '../transport/transport.ts';
import type { Wire } from './wire.ts';

export class ConnectionTunnel extends Duplex implements TransportEvents {
  readonly #wire: Wire;
  #waiting: ((error?: Error | null) => void) | undefined;
  #uncredited = 0;
  #gone = false;
  readonly #held: HeldBytes | undefined;
  #ending = false;

  constructor(wire: Wire, budget: HeldBudget | undefined) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#wire = wire;
    if (budget) this.#held = new HeldBytes(budget, () => this.destroy());
  }

  /** @internal */
  onBytes(bytes: Buffer): void {
    this.#uncredited += bytes.length;
    if (this.push(Buffer.from(bytes))) this.#credit();
    this.#countHeld();
  }

  /** @internal */
  onEnd(): void {
    this.push(null);
  }

  /** @internal */
  onIdle(): void {
    const { queue } = this.#wire;
    queue.flush();
    this.#countHeld();
    if (queue.queuedBytes > 0) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
    if (this.#ending) this.#wire.end();
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#gone = true;
    this.#wire.queue.clear();
    this.#countHeld();
    if (error) {
      this.destroy(error);
      return;
    }
    this.push(null);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
    this.end();
  }

  override _read(): void {
    this.#credit();
    this.#countHeld();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#gone) {
      done();
      return;
    }
    const { queue } = this.#wire;
    queue.append(chunk);
    queue.flush();
    this.#countHeld();
    if (queue.queuedBytes > 0) this.#waiting = done;
    else done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#ending = true;
    if (!this.#gone) this.#wire.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#waiting = undefined;
    this.#held?.set(0);
    if (!this.#gone) {
      const isWhole = this.readableEnded && this.writableFinished && error === null;
      if (isWhole) this.#wire.end();
      else this.#wire.transport.destroy();
    }
    done(error);
  }

  /** What neither side has taken. */
  #countHeld(): void {
    this.#held?.set(this.destroyed ? 0 : this.#uncredited + this.#wire.queue.heldBytes);
  }

  #credit(): void {
    const bytes = this.#uncredited;
    if (bytes === 0) return;
    this.#uncredited = 0;
    this.#wire.transport.credit(bytes);
  }
}
