/**
 * A stream of a tunnel as a transport: HTTP inside HBONE.
 *
 * Credit goes through to whoever sends into the tunnel, so nothing is held here but what came before `start`. Ending is
 * END_STREAM; whatever the tunnel calls a reset is an error here, since a message may have been cut by it.
 */
import type { StreamResetError } from '../errors.ts';
import { H2 } from '../h2/protocol.ts';
import type { H2Stream, StreamHandler } from '../h2/stream.ts';
import type { Transport, TransportEvents } from './transport.ts';

export class StreamTransport implements Transport, StreamHandler {
  readonly peer: string;
  readonly lends = false;
  readonly #stream: H2Stream;
  #events: TransportEvents | undefined;
  #early: Buffer[];
  /** What came early is on its way to whoever has started. */
  #isCatchingUp = false;
  #blocked = false;
  #ended = false;
  #peerEnded = false;
  #closed = false;
  #toldEnd = false;
  #toldClosed = false;
  #error: Error | undefined;

  /**
   * Takes the stream, whose own headers are through.
   *
   * @param early - What came before, uncredited: it is delivered first.
   */
  constructor(stream: H2Stream, peer: string, early: readonly Buffer[] = []) {
    this.#stream = stream;
    this.#early = [...early];
    this.peer = peer;
    this.#peerEnded = stream.hasRemoteEnded;
    stream.handler = this;
  }

  /** The tunnel's. */
  get localAddress(): string {
    return this.#stream.session.localAddress;
  }

  get idle(): boolean {
    return !this.#blocked && !this.#closed;
  }

  start(events: TransportEvents): void {
    this.#events = events;
    if (this.#early.length === 0 && !this.#peerEnded && !this.#closed) return;
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    queueMicrotask(() => this.#catchUp());
  }

  /**
   * Delivers what came early, and what has come behind it meanwhile. Whoever started may hand the transport on while it
   * hears the first bytes: each event goes to who has it by then.
   */
  #catchUp(): void {
    for (const bytes of this.#early) if (!this.#closed) this.#events?.onBytes(bytes);
    this.#early = [];
    this.#isCatchingUp = false;
    if (this.#closed) this.#tellClosed();
    else if (this.#peerEnded) this.#tellEnd();
  }

  write(bytes: Uint8Array): void {
    if (!this.#closed && !this.#ended && !this.#stream.write(bytes)) this.#blocked = true;
  }

  keep(): void {
    this.#stream.keep();
  }

  credit(bytes: number): void {
    this.#stream.credit(bytes);
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#stream.end();
    if (this.#peerEnded) this.#close(undefined);
  }

  /** What follows END_STREAM with this code says that no more is wanted, and nothing about what came (RFC 9113 §8.1). */
  leave(): void {
    if (this.#closed) return;
    this.#stream.reset(H2.noError);
    this.#close(undefined);
  }

  destroy(): void {
    if (this.#closed) return;
    this.#stream.reset(H2.cancel);
    this.#close(undefined);
  }

  // What the stream tells.

  /** @internal Trailers mean nothing in a tunnel. */
  onHeaders(): void {}

  /** @internal */
  onData(_stream: H2Stream, bytes: Buffer): void {
    if (this.#events && !this.#isCatchingUp) this.#events.onBytes(bytes);
    else this.#early.push(Buffer.from(bytes));
  }

  /** @internal */
  onEnd(): void {
    this.#peerEnded = true;
    if (this.#events && !this.#isCatchingUp) this.#tellEnd();
  }

  /** @internal */
  onReset(_stream: H2Stream, error: StreamResetError): void {
    this.#close(error);
  }

  /** @internal */
  onWritable(): void {
    this.#blocked = false;
    if (!this.#closed) this.#events?.onIdle();
  }

  #tellEnd(): void {
    if (this.#toldEnd) return;
    this.#toldEnd = true;
    if (this.#events?.onEnd) this.#events.onEnd();
    else this.end();
    if (this.#ended) this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    if (this.#events) queueMicrotask(() => this.#tellClosed());
  }

  #tellClosed(): void {
    if (this.#toldClosed) return;
    this.#toldClosed = true;
    this.#events?.onClosed(this.#error);
  }
}
