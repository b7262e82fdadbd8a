/**
 * Moves bytes between two plain sockets, for connections that pass in clear.
 *
 * Every piece is copied before it is written: what is read lies in the thread's shared buffer, and a plain socket may
 * keep pointing into what it is given. A side is read only while the other takes what comes.
 */
import { ApplicationSocketError } from './errors.ts';
import type { PlainSocket, PlainSocketEvents } from './socket/plain-socket.ts';
import type { PumpOwner } from './tunnel-pump.ts';

const ENDINGS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ENOTCONN']);

class Side implements PlainSocketEvents {
  readonly socket: PlainSocket;
  readonly #pump: PlainPump;
  other: Side | undefined;
  bytesRead = 0;
  ended = false;

  constructor(socket: PlainSocket, pump: PlainPump) {
    this.socket = socket;
    this.#pump = pump;
    socket.events = this;
  }

  onPlainData(buffer: Buffer, from: number, to: number): void {
    this.bytesRead += to - from;
    const copy = Buffer.allocUnsafe(to - from);
    buffer.copy(copy, 0, from, to);
    if (this.other?.socket.write(copy) === 'held') this.socket.pause();
  }

  onPlainEnd(): void {
    this.ended = true;
    if (this.other?.ended && !this.other.socket.isHeld && !this.socket.isHeld) this.#pump.finish(undefined);
    else this.other?.socket.end();
  }

  onPlainWritten(): void {
    if (this.ended && this.other?.ended && !this.other.socket.isHeld) this.#pump.finish(undefined);
    else if (this.other?.ended === false) this.other.socket.resume();
  }

  onPlainError(code: string): void {
    this.#pump.finish(ENDINGS.has(code) ? undefined : new ApplicationSocketError(code));
  }
}

export class PlainPump {
  readonly #owner: PumpOwner;
  readonly #downstream: Side;
  readonly #upstream: Side;
  #finished = false;

  /** Starts at once; both sockets are connected. */
  constructor(downstream: PlainSocket, upstream: PlainSocket, owner: PumpOwner) {
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

  abort(error: Error): void {
    this.finish(error);
  }

  /** @internal */
  finish(error: Error | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#downstream.socket.close();
    this.#upstream.socket.close();
    this.#owner.onFinished(error);
  }
}
