/**
 * Moves bytes between two transports, whatever they are: a client's connection that is no HTTP, and the one to its endpoint.
 *
 * Each side gets credit for what the other has sent, so each direction is as fast as its slower end. Each direction ends by
 * itself; what breaks one side cuts the other. So does a fault of ours while bytes are moved: uncaught it would end the
 * process.
 */
import { SendQueue } from '@ambit/http/transport/send-queue';
import type { Transport, TransportEvents } from '@ambit/http/transport/transport';
import { HeldTooMuchError } from '@ambit/hbone/errors';
import type { Holder, QueueBudget } from '@ambit/hbone/queue-budget';
import { NOWHERE } from '@ambit/http/roster';

class Side implements TransportEvents {
  readonly transport: Transport;
  readonly #pump: BytePump;
  /** To this side. */
  readonly queue: SendQueue;
  other: Side | undefined;
  bytesRead = 0;
  /** Read here, and not sent on the other side yet. */
  heldBytes = 0;
  ended = false;
  closed = false;

  constructor(transport: Transport, pump: BytePump) {
    this.transport = transport;
    this.#pump = pump;
    this.queue = new SendQueue(transport);
  }

  onBytes(bytes: Buffer): void {
    try {
      this.#move(bytes);
    } catch (error) {
      this.#pump.fault(error);
    }
  }

  /** This side takes more. */
  onIdle(): void {
    try {
      this.#moveMore();
    } catch (error) {
      this.#pump.fault(error);
    }
  }

  onEnd(): void {
    try {
      this.ended = true;
      const { other } = this;
      if (other && other.queue.queuedBytes === 0) other.transport.end();
    } catch (error) {
      this.#pump.fault(error);
    }
  }

  onClosed(error: Error | undefined): void {
    this.closed = true;
    try {
      this.#letGo(error);
    } catch (fault) {
      this.#pump.fault(fault);
    }
    try {
      this.#pump.closed(error);
    } catch (fault) {
      this.#pump.fault(fault);
    }
  }

  #move(bytes: Buffer): void {
    const { other } = this;
    if (!other || other.closed) return;
    this.bytesRead += bytes.length;
    this.#pump.lastSpoke = this;
    other.queue.append(bytes);
    other.queue.flush();
    if (other.queue.queuedBytes === 0 && other.transport.idle && this.heldBytes === 0) {
      this.transport.credit(bytes.length);
      return;
    }
    this.heldBytes += bytes.length;
    this.#pump.hold(bytes.length);
  }

  #moveMore(): void {
    this.queue.flush();
    if (this.queue.queuedBytes > 0 || !this.transport.idle) return;
    const { other } = this;
    if (!other) return;
    const bytes = other.heldBytes;
    other.heldBytes = 0;
    this.#pump.release(bytes);
    if (bytes > 0 && !other.closed) other.transport.credit(bytes);
    if (other.ended) this.transport.end();
  }

  #letGo(error: Error | undefined): void {
    const { other } = this;
    this.queue.clear();
    if (!other || other.closed) return;
    // An orderly end of one side lets what it sent before go out on the other.
    if (error || !this.ended) other.transport.destroy();
    else if (other.queue.queuedBytes === 0) other.transport.end();
  }
}

export interface BytePumpOwner {
  /** Exactly once: both sides are gone. */
  onFinished(error: Error | undefined): void;
  /** Something here is wrong: both sides are cut. */
  onFault(error: unknown): void;
}

export class BytePump implements Holder {
  /** @internal */
  budgetPlace = NOWHERE;
  readonly #budget: QueueBudget;
  readonly #owner: BytePumpOwner;
  readonly #down: Side;
  readonly #up: Side;
  #heldBytes = 0;
  #error: Error | undefined;
  #finished = false;
  /** @internal Whose bytes came last. */
  lastSpoke: unknown;

  constructor(downstream: Transport, upstream: Transport, budget: QueueBudget, owner: BytePumpOwner) {
    this.#budget = budget;
    this.#owner = owner;
    this.#down = new Side(downstream, this);
    this.#up = new Side(upstream, this);
    this.#down.other = this.#up;
    this.#up.other = this.#down;
  }

  /** @param preamble - Goes to the endpoint before anything of the client's. */
  start(preamble?: Uint8Array): void {
    if (preamble) {
      this.#up.queue.append(preamble);
      this.#up.queue.flush();
    }
    this.#up.transport.start(this.#up);
    this.#down.transport.start(this.#down);
  }

  /** From the client. */
  get bytesUp(): number {
    return this.#down.bytesRead;
  }

  /** To the client. */
  get bytesDown(): number {
    return this.#up.bytesRead;
  }

  /** Nothing is under way: the last word was the endpoint's. */
  get isAtRest(): boolean {
    return this.lastSpoke === this.#up && this.#heldBytes === 0;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Cuts both sides. */
  abort(error: Error): void {
    this.#error ??= error;
    this.#down.transport.destroy();
    this.#up.transport.destroy();
  }

  /** @internal */
  fault(error: unknown): void {
    this.#owner.onFault(error);
    this.abort(new Error('internal_error'));
  }

  /** @internal */
  evict(): void {
    this.abort(new HeldTooMuchError(this.#heldBytes));
  }

  /** @internal */
  hold(bytes: number): void {
    if (this.#finished) return;
    this.#heldBytes += bytes;
    this.#budget.add(this, bytes);
  }

  /** @internal */
  release(bytes: number): void {
    if (bytes === 0 || this.#finished) return;
    this.#heldBytes -= bytes;
    this.#budget.remove(this, bytes);
  }

  /** @internal */
  closed(error: Error | undefined): void {
    this.#error ??= error;
    if (this.#finished || !this.#down.closed || !this.#up.closed) return;
    this.release(this.#heldBytes);
    this.#finished = true;
    this.#owner.onFinished(this.#error);
  }
}
