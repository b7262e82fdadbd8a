/**
 * What an application says before its CONNECT is answered: its first words, sent ahead to a peer that takes them.
 *
 * A request then meets its server as soon as that is connected, instead of a round trip between the two ztunnels later. The
 * peer has proved who it is before, and says in its SETTINGS that it keeps early data. A little is read, and kept here too:
 * if the stream is refused, another one is told the same. Until that is full the answer is not waited for, and the peer,
 * who was told so, may send it with the first words that come back.
 */
import { HeldTooMuchError } from '@ambit/hbone/errors';
import type { Holder, QueueBudget } from '@ambit/hbone/queue-budget';
import type { TunnelPump } from '@ambit/hbone/tunnel-pump';
import { NOWHERE } from '@ambit/http/roster';
import type { H2Stream } from '@ambit/http/h2/stream';
import type { PlainSocket } from '@ambit/http/transport/plain-socket';
import { receiveWaiting } from '@ambit/linux/sockets';
import { EARLY_DATA_BYTES } from './limits.ts';

export class EarlyData implements Holder {
  /** @internal */
  budgetPlace = NOWHERE;
  readonly #socket: PlainSocket;
  readonly #budget: QueueBudget;
  readonly #onEvicted: (error: Error) => void;
  #bytes: Buffer | undefined;
  /** Which stream was told them. */
  #told: H2Stream | undefined;
  /** The application has ended its direction. */
  #ended = false;
  #asked = false;

  /** @param onEvicted - The budget wants its bytes back: the connection ends. */
  constructor(socket: PlainSocket, budget: QueueBudget, onEvicted: (error: Error) => void) {
    this.#socket = socket;
    this.#budget = budget;
    this.#onEvicted = onEvicted;
  }

  /** Whether the application said something that nobody is known to have heard. */
  get isHeld(): boolean {
    return this.#bytes !== undefined;
  }

  get heldBytes(): number {
    return this.#bytes?.length ?? 0;
  }

  /** The stream is open, and takes early data: what was said already is said again, and more is listened for. */
  follow(stream: H2Stream): void {
    this.#told = stream;
    if (this.#bytes) stream.write(this.#bytes);
    if (this.#ended) stream.end();
    else this.#listen();
  }

  /** No stream is open: nothing is read. */
  pause(): void {
    this.#socket.pause();
  }

  /** Within `onPlainData`. */
  read(stream: H2Stream, buffer: Buffer, from: number, to: number): void {
    const piece = Buffer.from(buffer.subarray(from, to));
    this.#bytes = this.#bytes ? Buffer.concat([this.#bytes, piece]) : piece;
    this.#budget.add(this, piece.length);
    if (!this.#bytes) return;
    if (this.#isFull) this.#socket.pause();
    stream.writeInPlace(buffer, from, to);
  }

  /** Within `onPlainEnd`. */
  end(stream: H2Stream | undefined): void {
    this.#ended = true;
    stream?.end();
  }

  /** The far end has agreed to the stream: its pump goes on from here. */
  handOver(stream: H2Stream, pump: TunnelPump): void {
    const { heldBytes } = this;
    if (this.#bytes && this.#told !== stream) stream.write(this.#bytes);
    this.release();
    if (heldBytes > 0) pump.sentAhead(heldBytes);
    pump.attach(this.#socket);
    if (this.#ended) pump.onPlainEnd();
  }

  release(): void {
    const { heldBytes } = this;
    this.#bytes = undefined;
    if (heldBytes > 0) this.#budget.remove(this, heldBytes);
  }

  /** @internal */
  evict(): void {
    const { heldBytes } = this;
    this.release();
    this.#onEvicted(new HeldTooMuchError(heldBytes));
  }

  get #isFull(): boolean {
    return this.heldBytes >= EARLY_DATA_BYTES;
  }

  /** Words that came with the connection go out together with the request. */
  #listen(): void {
    const isFirst = !this.#asked;
    this.#asked = true;
    if (isFirst) this.#socket.readWaiting(receiveWaiting, EARLY_DATA_BYTES);
    if (this.#isFull || this.#socket.isClosed) return;
    if (isFirst) this.#socket.limitFirstRead(EARLY_DATA_BYTES);
    this.#socket.resume();
  }
}
