/**
 * A request's body on its way: what has come and cannot be sent yet, and what is kept so that it can be sent again.
 *
 * Up to the limit everything is kept from the first byte on, so that a try that fails can be followed by another. Beyond it
 * what was sent is let go, and `isLost` says that there can be no other try. The client gets credit for what the endpoint's
 * connection has taken, so what waits here is no more than the client's connection lets through unasked.
 */
import type { ClientExchange } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';

export interface BodySource {
  /** As many bytes were passed on: the client may send as many more. */
  credit(bytes: number): void;
}

export class RequestBody {
  readonly #source: BodySource;
  readonly #limitBytes: number;
  /** From the first byte on, or what is yet to be sent once it is lost. */
  #pieces: Buffer[] = [];
  /** How many of the pieces the present try has sent. */
  #sent = 0;
  /** Bytes that are held here and the client has no credit for. */
  #uncredited = 0;
  #totalBytes = 0;
  #isLost = false;
  #isDiscarded = false;
  #ended = false;
  #trailers: HeaderFields | undefined;
  #sink: ClientExchange | undefined;
  #sinkIsFull = false;
  #endSent = false;
  #awaited: { readonly bytes: number; readonly ready: () => void } | undefined;

  /** @param limitBytes - What is kept for another try. */
  constructor(source: BodySource, limitBytes: number) {
    this.#source = source;
    this.#limitBytes = limitBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Bytes in memory that no try has sent, or that their sender has no credit for. */
  get heldBytes(): number {
    return this.#sink ? this.#uncredited : Math.max(this.#uncredited, this.#unsentBytes());
  }

  /**
   * Calls `ready` once all of the body is here, or more than `bytes` of it; the client gets credit for as much, since it
   * would stop sending otherwise. Before the first try, and one at a time.
   */
  await(bytes: number, ready: () => void): void {
    this.#awaited = { bytes, ready };
    this.#lookAwaited();
  }

  /** The first bytes, at most so many. Before the first try. */
  beginning(bytes: number): Buffer {
    return Buffer.concat(this.#pieces).subarray(0, bytes);
  }

  /** Cannot be sent from its beginning any more. */
  get isLost(): boolean {
    return this.#isLost;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  push(bytes: Buffer): void {
    this.#totalBytes += bytes.length;
    this.#uncredited += bytes.length;
    if (this.#isDiscarded) {
      this.#creditSent();
      return;
    }
    this.#trim();
    if (this.#isLost && this.#isAllSent && !this.#sinkIsFull) {
      this.#write(bytes);
      return;
    }
    this.#pieces.push(Buffer.from(bytes));
    this.#flush();
    this.#lookAwaited();
  }

  end(trailers: HeaderFields | undefined): void {
    this.#ended = true;
    this.#trailers = trailers;
    this.#flush();
    this.#lookAwaited();
  }

  /** What has come so far, for somebody who will be told of the rest; of a body that is lost there is nothing. */
  replay(to: {
    onRequestData(bytes: Buffer): void;
    onRequestEnd(trailers: HeaderFields | undefined): void;
  }): void {
    if (this.#isLost) return;
    for (const piece of this.#pieces) to.onRequestData(piece);
    if (this.#ended) to.onRequestEnd(this.#trailers);
  }

  /** A try begins: everything from the first byte on goes to `sink`. */
  sendTo(sink: ClientExchange): void {
    this.#sink = sink;
    this.#sent = 0;
    this.#sinkIsFull = false;
    this.#endSent = false;
    this.#flush();
  }

  /** The present try is over. */
  stop(): void {
    this.#sink = undefined;
    this.#sinkIsFull = false;
  }

  /** The sink takes more. */
  onWritable(): void {
    this.#sinkIsFull = false;
    this.#creditSent();
    this.#flush();
  }

  /** Nobody needs it any more: what comes is dropped. */
  discard(): void {
    this.stop();
    this.#pieces = [];
    this.#sent = 0;
    this.#isLost = true;
    this.#isDiscarded = true;
    this.#creditSent();
  }

  #lookAwaited(): void {
    if (!this.#awaited) return;
    const { bytes, ready } = this.#awaited;
    if (this.#ended || this.#totalBytes > bytes) {
      this.#awaited = undefined;
      ready();
      return;
    }
    const credit = this.#uncredited;
    this.#uncredited = 0;
    if (credit > 0) this.#source.credit(credit);
  }

  get #isAllSent(): boolean {
    return this.#sink !== undefined && this.#sent === this.#pieces.length;
  }

  #flush(): void {
    const sink = this.#sink;
    while (sink && this.#sink === sink && !this.#sinkIsFull && this.#sent < this.#pieces.length) {
      const piece = this.#pieces[this.#sent];
      this.#sent += 1;
      if (piece) this.#write(piece);
    }
    this.#trim();
    if (!this.#sink || !this.#ended || this.#endSent || !this.#isAllSent) return;
    this.#endSent = true;
    this.#sink.end(this.#trailers);
  }

  #write(bytes: Buffer): void {
    if (this.#sink?.write(bytes) === false) this.#sinkIsFull = true;
    else this.#creditSent();
  }

  /** Of what is uncredited, all but what waits unsent. */
  #creditSent(): void {
    const credit = this.#uncredited - this.#unsentBytes();
    if (credit <= 0) return;
    this.#uncredited -= credit;
    this.#source.credit(credit);
  }

  #unsentBytes(): number {
    let unsent = 0;
    for (let i = this.#sent; i < this.#pieces.length; i++) unsent += this.#pieces[i]?.length ?? 0;
    return unsent;
  }

  /** Beyond the limit, what was sent is let go. */
  #trim(): void {
    if (this.#sent === 0 || this.#totalBytes <= this.#limitBytes) return;
    this.#isLost = true;
    this.#pieces.splice(0, this.#sent);
    this.#sent = 0;
  }
}
