/**
 * A request's body on its way: what has come and cannot be sent yet, and what is kept so that it can be sent again.
 *
 * Up to the limit everything is kept from the first byte on, so that a try that fails can be followed by another. Beyond it
 * what was sent is let go, and `isLost` says that there can be no other try. The client gets credit for what the endpoint's
 * connection has taken, so what waits here is no more than the client's connection lets through unasked.
 */
import type { ClientExchange } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import { KeptBytes } from './kept-bytes.ts';

export interface BodySource {
  /** As many bytes were passed on: the client may send as many more. */
  credit(bytes: number): void;
}

export class RequestBody {
  readonly #source: BodySource;
  readonly #limitBytes: number;
  /** From the first byte on, or from what is yet to be sent once it is lost; read as far as the present try has sent. */
  readonly #kept = new KeptBytes();
  /** Bytes that came, and that the client has no credit for. */
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

  /** What it costs in memory: everything that is kept here. */
  get heldBytes(): number {
    return this.#kept.memoryBytes;
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
    return Buffer.concat([...this.#kept.all()]).subarray(0, bytes);
  }

  /** Cannot be sent from its beginning any more. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** All that came has gone on, and there is more to come. */
  get awaitsMore(): boolean {
    if (this.#ended || this.#isDiscarded) return false;
    return this.#awaited !== undefined || (this.#isAllSent && !this.#sinkIsFull);
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
    this.#kept.push(bytes);
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
    for (const bytes of this.#kept.all()) to.onRequestData(bytes);
    if (this.#ended) to.onRequestEnd(this.#trailers);
  }

  /** A try begins: everything from the first byte on goes to `sink`. */
  sendTo(sink: ClientExchange): void {
    this.#sink = sink;
    this.#kept.rewind();
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

  /** Memory is short: what was sent is not kept for another try. Whether that freed anything. */
  letGo(): boolean {
    const before = this.heldBytes;
    if (!this.#sink || !this.#kept.hasRead) return false;
    this.#isLost = true;
    this.#kept.forgetRead();
    return this.heldBytes < before;
  }

  /** Nobody needs it any more: what comes is dropped. */
  discard(): void {
    this.stop();
    this.#kept.clear();
    this.#isLost = true;
    this.#isDiscarded = true;
    this.#awaited = undefined;
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
    return this.#sink !== undefined && this.#kept.unreadBytes === 0;
  }

  #flush(): void {
    const sink = this.#sink;
    while (sink && this.#sink === sink && !this.#sinkIsFull) {
      const bytes = this.#kept.read();
      if (!bytes) break;
      this.#write(bytes);
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
    const credit = this.#uncredited - this.#kept.unreadBytes;
    if (credit <= 0) return;
    this.#uncredited -= credit;
    this.#source.credit(credit);
  }

  /** Beyond the limit, what was sent is let go. */
  #trim(): void {
    if (this.#totalBytes <= this.#limitBytes || !this.#kept.hasRead) return;
    this.#isLost = true;
    this.#kept.forgetRead();
  }
}
