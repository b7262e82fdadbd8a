/** The server's end of one exchange over HTTP/2. */
import type { Duplex } from 'node:stream';
import { HttpError, type StreamResetError } from '../errors.ts';
import type { AbortReason, BodyReceiver, RequestHead, ResponseHead, ServerExchange } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import { type HeldBudget, HeldBytes } from '../held-bytes.ts';
import { exchangeError, resetCode } from './exchange-errors.ts';
import { responseFields, switchedFields } from './heads.ts';
import { H2 } from './protocol.ts';
import type { H2Stream, StreamHandler } from './stream.ts';
import { StreamDuplex } from './stream-duplex.ts';

export class Http2ServerExchange implements ServerExchange, StreamHandler {
  readonly head: RequestHead;
  /** @internal Set as soon as there is one. */
  receiver: BodyReceiver | undefined;
  readonly #stream: H2Stream;
  readonly #contentLength: number;
  #received = 0;
  #trailers: HeaderFields | undefined;
  #hasAnswered = false;
  /** Nothing is delivered any more. */
  #isOver = false;
  readonly #budget: HeldBudget | undefined;
  #held: HeldBytes | undefined;

  constructor(stream: H2Stream, head: RequestHead, contentLength: number, budget: HeldBudget | undefined) {
    this.#stream = stream;
    this.head = head;
    this.#contentLength = contentLength;
    this.#budget = budget;
  }

  informational(head: ResponseHead): void {
    if (this.#isOver || this.#hasAnswered) return;
    if (head.status < 100 || head.status > 199 || head.status === 101)
      throw new HttpError('protocol', 'not-informational');
    this.#stream.respondFields(responseFields(head), false, true);
  }

  respond(head: ResponseHead, endsHere: boolean): void {
    if (this.#isOver || this.#hasAnswered) return;
    this.#stream.respondFields(responseFields(head), endsHere);
    this.#hasAnswered = true;
    if (endsHere) this.#isOver = true;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver || !this.#hasAnswered || bytes.length === 0) return true;
    return this.#stream.write(bytes);
  }

  end(trailers?: HeaderFields): void {
    if (this.#isOver || !this.#hasAnswered) return;
    this.#isOver = true;
    this.#stream.end(trailers);
    const { pendingBytes } = this.#stream;
    if (pendingBytes === 0 || !this.#budget) return;
    this.#held = new HeldBytes(this.#budget, () => {
      this.#stream.reset(H2.enhanceYourCalm);
      this.#held?.set(0);
    });
    this.#held.set(pendingBytes);
  }

  abort(reason: AbortReason): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.reset(resetCode(reason));
  }

  credit(bytes: number): void {
    if (!this.#isOver) this.#stream.credit(bytes);
  }

  switchProtocols(head: ResponseHead): Duplex {
    const { method, upgrade } = this.head;
    if (this.#isOver || this.#hasAnswered || (method !== 'CONNECT' && upgrade === undefined))
      throw new HttpError('closed', 'nothing-to-switch');
    this.#hasAnswered = true;
    this.#isOver = true;
    const duplex = new StreamDuplex(this.#stream, this.#budget);
    this.#stream.respondFields(switchedFields(head.fields), false);
    return duplex;
  }

  // What the stream tells.

  /** @internal The trailers. */
  onHeaders(_stream: H2Stream, fields: HeaderFields): void {
    this.#trailers = fields;
  }

  /** @internal Whatever pieces a frame comes in, of one that is too long nothing is passed on. */
  onDataSize(_stream: H2Stream, bytes: number): void {
    if (!this.#isOver && this.#contentLength >= 0 && this.#received + bytes > this.#contentLength)
      this.#mismatch();
  }

  /** @internal */
  onData(stream: H2Stream, bytes: Buffer): void {
    if (this.#isOver) {
      stream.credit(bytes.length);
      return;
    }
    this.#received += bytes.length;
    if (this.head.endsHere) this.#break('data-before-switch');
    else this.receiver?.onData(bytes);
  }

  /** @internal A client that asks for another protocol and ends its side has gone away. */
  onEnd(): void {
    if (this.#isOver) return;
    if (this.head.endsHere) {
      if (this.head.upgrade !== undefined || this.head.method === 'CONNECT') this.#fail(gone());
      return;
    }
    if (this.#contentLength >= 0 && this.#received !== this.#contentLength) this.#mismatch();
    else this.receiver?.onEnd(this.#trailers);
  }

  /** @internal */
  onReset(_stream: H2Stream, error: StreamResetError): void {
    this.#held?.set(0);
    this.#fail(exchangeError(error));
  }

  /** @internal */
  onWritable(): void {
    if (!this.#isOver) this.receiver?.onWritable();
  }

  /** @internal The answer is out before the request is whole: what is left of it is not wanted (RFC 9113 §8.1). */
  onSent(stream: H2Stream): void {
    this.#held?.set(0);
    if (!stream.hasRemoteEnded) stream.reset(H2.noError);
  }

  #mismatch(): void {
    this.#break('content-length-mismatch');
  }

  /** The client broke HTTP on this stream. */
  #break(reason: string): void {
    this.#stream.breach(H2.protocolError);
    this.#fail(new HttpError('protocol', reason, { h2Code: H2.protocolError }));
  }

  #fail(error: HttpError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.receiver?.onAbort(error);
  }
}

function gone(): HttpError {
  return new HttpError('closed', 'client-went-away');
}
