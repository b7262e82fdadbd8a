/**
 * Moves bytes between an application's socket and its stream in a tunnel: the hot path.
 *
 * Up: what was read goes into the tunnel as it lies in the thread's shared buffer. Down: what was decrypted goes to
 * the application as it lies in the tunnel's buffer, which is taken from the tunnel if the socket holds on to it. The
 * peer gets credit for what the application's socket has taken, so each direction is as fast as its slower end.
 * Each direction ends by itself; both ended, the socket is closed.
 */
import { brokenApplication } from './errors.ts';
import { StreamResetError } from '@ambit/http/errors';
import { H2 } from '@ambit/http/h2/protocol';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { TLS_READ_BYTES } from '@ambit/http/limits';
import type { Holder, QueueBudget } from './queue-budget.ts';
import type { PlainSocket, PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { NOWHERE } from '@ambit/http/roster';

export interface PumpOwner {
  /** Exactly once: both directions ended, or the connection broke. Socket and stream are closed. */
  onFinished(error: Error | undefined): void;
}

/** A smaller piece is copied, so that it does not keep a whole buffer alive. */
const WORTH_KEEPING_BYTES = TLS_READ_BYTES / 2;

export class TunnelPump implements PlainSocketEvents, StreamHandler, Holder {
  /** @internal */
  budgetPlace = NOWHERE;
  readonly #stream: H2Stream;
  readonly #budget: QueueBudget;
  readonly #owner: PumpOwner;
  #socket: PlainSocket | undefined;
  /** What the socket has not taken; `undefined` as long as it keeps up. */
  #queue: Buffer[] | undefined;
  /** Used octets of the queue's last buffer, if more may be copied into it. */
  #tailUsed = 0;
  /** In the write that the socket holds. */
  #writingBytes = 0;
  /** In all, either way. */
  #heldBytes = 0;
  /** Read from the application and kept by the stream. */
  #pendingUp = 0;
  #bytesUp = 0;
  #bytesDown = 0;
  #lastMoved: 'up' | 'down' | undefined;
  #upEnded = false;
  #downEnded = false;
  #finished = false;

  /** Takes the stream; data that comes before `attach` waits. */
  constructor(stream: H2Stream, budget: QueueBudget, owner: PumpOwner) {
    this.#stream = stream;
    this.#budget = budget;
    this.#owner = owner;
    stream.handler = this;
  }

  /** From the application to the tunnel. */
  get bytesUp(): number {
    return this.#bytesUp;
  }

  /** From the tunnel to the application. */
  get bytesDown(): number {
    return this.#bytesDown;
  }

  /** Where to the last bytes went; `undefined` before the first. */
  get lastMoved(): 'up' | 'down' | undefined {
    return this.#lastMoved;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Takes the connected socket and starts both directions; `preamble` goes to the application first. */
  attach(socket: PlainSocket, preamble?: Buffer): void {
    this.#socket = socket;
    socket.events = this;
    if (this.#finished) {
      socket.close();
      return;
    }
    if (preamble) socket.write(preamble);
    this.#flush();
    if (!this.#finished && this.#pendingUp === 0) socket.resume();
  }

  /** Before `attach`: so much was read from the application and written to the stream already. */
  sentAhead(bytes: number): void {
    this.#bytesUp = bytes;
    this.#lastMoved = 'up';
    this.#holdPendingUp();
  }

  /** Ends both directions now. */
  abort(error: Error): void {
    if (this.#finished) return;
    this.#stream.reset(H2.cancel);
    this.#socket?.close();
    this.#finish(error);
  }

  /** @internal The budget wants its bytes back. */
  evict(): void {
    if (this.#finished) return;
    this.#stream.reset(H2.enhanceYourCalm);
    this.#socket?.reset();
    this.#finish(new StreamResetError(H2.enhanceYourCalm, 'us'));
  }

  onPlainData(buffer: Buffer, from: number, to: number): void {
    const stream = this.#stream;
    this.#bytesUp += to - from;
    this.#lastMoved = 'up';
    const more = stream.writeInPlace(buffer, from, to);
    this.#socket?.limitRead(stream.windowBytes);
    if (more) return;
    this.#socket?.pause();
    this.#holdPendingUp();
  }

  onPlainEnd(): void {
    this.#upEnded = true;
    this.#stream.end();
    this.#finishIfEnded();
  }

  onPlainWritten(): void {
    const taken = this.#writingBytes;
    this.#writingBytes = 0;
    this.#release(taken);
    this.#stream.credit(taken);
    this.#flush();
  }

  onPlainError(code: string): void {
    this.#stream.reset(H2.cancel);
    this.#finish(brokenApplication(code));
  }

  onWritable(): void {
    const sent = this.#pendingUp;
    this.#pendingUp = 0;
    this.#release(sent);
    this.#socket?.resume();
  }

  /** Trailers mean nothing in a tunnel. */
  onHeaders(): void {}

  onData(stream: H2Stream, bytes: Buffer): void {
    const { length } = bytes;
    this.#bytesDown += length;
    this.#lastMoved = 'down';
    if (this.#queue || !this.#socket || this.#socket.isHeld) {
      this.#enqueue(bytes);
      return;
    }
    const outcome = this.#socket.write(bytes);
    if (outcome === 'done') {
      stream.credit(length);
    } else if (outcome === 'held') {
      stream.keep();
      this.#writingBytes = length;
      this.#hold(length);
    }
  }

  onEnd(): void {
    this.#downEnded = true;
    this.#endSocketIfFlushed();
    this.#finishIfEnded();
  }

  onReset(_stream: H2Stream, error: StreamResetError): void {
    if (this.#finished) return;
    if (error.isClean && this.#heldDown > 0 && this.#socket) {
      this.#socket.pause();
      this.#upEnded = true;
      this.#downEnded = true;
      return;
    }
    if (error.isClean) this.#socket?.close();
    else this.#socket?.reset();
    this.#finish(error.isClean ? undefined : error);
  }

  #enqueue(bytes: Buffer): void {
    this.#queue ??= [];
    const queue = this.#queue;
    if (bytes.length >= WORTH_KEEPING_BYTES) {
      this.#stream.keep();
      this.#sealTail(queue);
      queue.push(bytes);
    } else {
      this.#copyToTail(queue, bytes);
    }
    this.#hold(bytes.length);
  }

  /** Nothing more is copied into the last buffer. */
  #sealTail(queue: Buffer[]): void {
    const tail = this.#tailUsed > 0 ? queue.pop() : undefined;
    if (tail) queue.push(tail.subarray(0, this.#tailUsed));
    this.#tailUsed = 0;
  }

  /** Small pieces share buffers, so that a byte a frame does not cost a buffer a byte. */
  #copyToTail(queue: Buffer[], bytes: Buffer): void {
    let tail = this.#tailUsed > 0 ? queue.at(-1) : undefined;
    if (!tail || this.#tailUsed + bytes.length > WORTH_KEEPING_BYTES) {
      this.#sealTail(queue);
      tail = Buffer.allocUnsafeSlow(WORTH_KEEPING_BYTES);
      queue.push(tail);
    }
    bytes.copy(tail, this.#tailUsed);
    this.#tailUsed += bytes.length;
  }

  /** Writes what waits, as long as the socket takes it. */
  #flush(): void {
    while (this.#queue && !this.#finished && this.#socket && !this.#socket.isHeld) {
      if (this.#queue.length === 1) this.#sealTail(this.#queue);
      const bytes = this.#queue.shift();
      if (bytes === undefined) {
        this.#queue = undefined;
        break;
      }
      const outcome = this.#socket.write(bytes);
      if (outcome === 'held') this.#writingBytes = bytes.length;
      if (outcome !== 'done') return;
      this.#release(bytes.length);
      this.#stream.credit(bytes.length);
    }
    this.#endSocketIfFlushed();
    this.#finishIfEnded();
  }

  #endSocketIfFlushed(): void {
    if (this.#downEnded && !this.#upEnded && this.#heldDown === 0) this.#socket?.end();
  }

  #finishIfEnded(): void {
    if (this.#finished || !this.#upEnded || !this.#downEnded || this.#heldDown > 0 || !this.#socket) return;
    this.#socket.close();
    this.#finish(undefined);
  }

  #finish(error: Error | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#queue = undefined;
    this.#release(this.#heldBytes);
    this.#owner.onFinished(error);
  }

  /** What the application has yet to take. */
  get #heldDown(): number {
    return this.#heldBytes - this.#pendingUp;
  }

  #holdPendingUp(): void {
    this.#pendingUp = this.#stream.pendingBytes;
    if (this.#pendingUp > 0) this.#hold(this.#pendingUp);
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#budget.add(this, bytes);
  }

  #release(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes -= bytes;
    this.#budget.remove(this, bytes);
  }
}
