/**
 * Moves bytes between two plain sockets, for connections that pass in clear.
 *
 * Every piece is copied before it is written: what is read lies in the thread's shared buffer, and a plain socket may
 * keep pointing into what it is given. A side is read only while the other takes what comes; what the other has not taken
 * counts against the budget, as in a tunnel.
 */
import { brokenApplication, HeldTooMuchError } from './errors.ts';
import type { Holder, QueueBudget } from './queue-budget.ts';
import type { PlainSocket, PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import type { PumpOwner } from './tunnel-pump.ts';
import { NOWHERE } from '@ambit/http/roster';

class Side implements PlainSocketEvents {
  readonly socket: PlainSocket;
  readonly #pump: PlainPump;
  other: Side | undefined;
  bytesRead = 0;
  /** In the write that the socket holds. */
  heldBytes = 0;
  ended = false;

  constructor(socket: PlainSocket, pump: PlainPump) {
    this.socket = socket;
    this.#pump = pump;
    socket.events = this;
  }

  onPlainData(buffer: Buffer, from: number, to: number): void {
    this.bytesRead += to - from;
    this.#pump.lastSpoke = this;
    const copy = Buffer.allocUnsafe(to - from);
    buffer.copy(copy, 0, from, to);
    if (this.other?.socket.write(copy) !== 'held') return;
    this.socket.pause();
    this.other.heldBytes = copy.length;
    this.#pump.hold(copy.length);
  }

  onPlainEnd(): void {
    this.ended = true;
    if (this.other?.ended && !this.other.socket.isHeld && !this.socket.isHeld) this.#pump.finish(undefined);
    else this.other?.socket.end();
  }

  onPlainWritten(): void {
    this.#pump.release(this.heldBytes);
    this.heldBytes = 0;
    if (this.ended && this.other?.ended && !this.other.socket.isHeld) this.#pump.finish(undefined);
    else if (this.other?.ended === false) this.other.socket.resume();
  }

  onPlainError(code: string): void {
    this.#pump.finish(brokenApplication(code));
  }
}

export class PlainPump implements Holder {
  /** @internal */
  budgetPlace = NOWHERE;
  readonly #budget: QueueBudget;
  readonly #owner: PumpOwner;
  readonly #downstream: Side;
  readonly #upstream: Side;
  #heldBytes = 0;
  #finished = false;
  /** @internal Whose bytes came last. */
  lastSpoke: unknown;

  /** Starts at once; both sockets are connected. */
  constructor(downstream: PlainSocket, upstream: PlainSocket, budget: QueueBudget, owner: PumpOwner) {
    this.#budget = budget;
    this.#owner = owner;
    this.#downstream = new Side(downstream, this);
    this.#upstream = new Side(upstream, this);
    this.#downstream.other = this.#upstream;
    this.#upstream.other = this.#downstream;
    downstream.resume();
    upstream.resume();
  }

  /** From downstream to upstream. */
  get bytesUp(): number {
    return this.#downstream.bytesRead;
  }

  get bytesDown(): number {
    return this.#upstream.bytesRead;
  }

  /** Where to the last bytes went; `undefined` before the first. */
  get lastMoved(): 'up' | 'down' | undefined {
    if (this.lastSpoke === undefined) return undefined;
    return this.lastSpoke === this.#downstream ? 'up' : 'down';
  }

  /** What either side has yet to take. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  abort(error: Error): void {
    this.finish(error);
  }

  /** @internal The budget wants its bytes back. */
  evict(): void {
    if (this.#finished) return;
    this.#downstream.socket.reset();
    this.#upstream.socket.reset();
    this.finish(new HeldTooMuchError(this.#heldBytes));
  }

  /** @internal */
  hold(bytes: number): void {
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
  finish(error: Error | undefined): void {
    if (this.#finished) return;
    this.release(this.#heldBytes);
    this.#finished = true;
    this.#downstream.socket.close();
    this.#upstream.socket.close();
    this.#owner.onFinished(error);
  }
}
