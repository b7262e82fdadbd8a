/** The client's end of one exchange over HTTP/2. */
import { HttpError, type StreamResetError } from '../errors.ts';
import type { AbortReason, ClientExchange, RequestHead, ResponseReceiver } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import type { HeldBudget } from '../held-bytes.ts';
import { exchangeError, resetCode } from './exchange-errors.ts';
import { responseOf } from './heads.ts';
import { H2 } from './protocol.ts';
import type { H2Stream, StreamHandler } from './stream.ts';
import { StreamDuplex } from './stream-duplex.ts';
import { INFORMATIONAL_RESPONSES } from '../limits.ts';

export class Http2ClientExchange implements ClientExchange, StreamHandler {
  /** @internal Set when the request was sent. */
  stream: H2Stream | undefined;
  readonly #head: RequestHead;
  readonly #receiver: ResponseReceiver;
  readonly #budget: HeldBudget | undefined;
  readonly #onCompleted: () => void;
  #contentLength = -1;
  #received = 0;
  #trailers: HeaderFields | undefined;
  #isAnswered = false;
  #endsHere = false;
  #informationals = 0;
  /** Nothing is delivered any more. */
  #isOver = false;

  constructor(
    head: RequestHead,
    receiver: ResponseReceiver,
    budget: HeldBudget | undefined,
    onCompleted: () => void,
  ) {
    this.#head = head;
    this.#receiver = receiver;
    this.#budget = budget;
    this.#onCompleted = onCompleted;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver || !this.stream || bytes.length === 0) return true;
    return this.stream.write(bytes);
  }

  end(trailers?: HeaderFields): void {
    if (!this.#isOver) this.stream?.end(trailers);
  }

  abort(reason: AbortReason): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.stream?.reset(resetCode(reason));
  }

  credit(bytes: number): void {
    if (!this.#isOver) this.stream?.credit(bytes);
  }

  // What the stream tells.

  /** @internal */
  onInformational(_stream: H2Stream, fields: HeaderFields): void {
    if (this.#isOver) return;
    if (++this.#informationals > INFORMATIONAL_RESPONSES) {
      this.#break('too-many-informational-responses');
      return;
    }
    try {
      this.#receiver.onInformational(responseOf(fields).head);
    } catch (error) {
      this.#breakBy(error);
    }
  }

  /** @internal The response, then the trailers. */
  onHeaders(stream: H2Stream, fields: HeaderFields, endStream: boolean): void {
    if (this.#isOver) return;
    if (this.#isAnswered) {
      this.#trailers = fields;
      return;
    }
    this.#isAnswered = true;
    try {
      this.#respond(stream, fields, endStream);
    } catch (error) {
      this.#breakBy(error);
    }
  }

  /** @internal Whatever pieces a frame comes in, of one that is too long nothing is passed on. */
  onDataSize(_stream: H2Stream, bytes: number): void {
    if (
      !this.#isOver &&
      this.#isAnswered &&
      this.#contentLength >= 0 &&
      this.#received + bytes > this.#contentLength
    )
      this.#break('content-length-mismatch');
  }

  /** @internal */
  onData(stream: H2Stream, bytes: Buffer): void {
    if (this.#isOver) {
      stream.credit(bytes.length);
      return;
    }
    this.#received += bytes.length;
    if (!this.#isAnswered) this.#break('data-before-response');
    else this.#receiver.onData(bytes);
  }

  /** @internal */
  onEnd(stream: H2Stream): void {
    if (this.#isOver) return;
    if (!this.#isAnswered) {
      this.#break('end-before-response');
      return;
    }
    if (this.#contentLength >= 0 && this.#received !== this.#contentLength) {
      this.#break('content-length-mismatch');
      return;
    }
    this.#isOver = true;
    this.#onCompleted();
    if (!stream.isClosed) stream.reset(H2.noError);
    if (!this.#endsHere) this.#receiver.onEnd(this.#trailers);
  }

  /** @internal */
  onReset(_stream: H2Stream, error: StreamResetError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#receiver.onAbort(exchangeError(error));
  }

  /** @internal */
  onWritable(): void {
    if (!this.#isOver) this.#receiver.onWritable();
  }

  #respond(stream: H2Stream, fields: HeaderFields, endStream: boolean): void {
    const { head, contentLength } = responseOf(fields);
    const { method, upgrade } = this.#head;
    const isSwitch =
      (method === 'CONNECT' || upgrade !== undefined) && head.status >= 200 && head.status < 300;
    if (isSwitch && !endStream) {
      if (!this.#receiver.onSwitched) throw new HttpError('protocol', 'unexpected-switch');
      this.#isOver = true;
      this.#onCompleted();
      this.#receiver.onSwitched(head, new StreamDuplex(stream, this.#budget));
      return;
    }
    const hasNone = method === 'HEAD' || head.status === 204 || head.status === 304;
    this.#contentLength = hasNone ? 0 : contentLength;
    if (endStream && this.#contentLength > 0) throw new HttpError('protocol', 'content-length-mismatch');
    this.#endsHere = endStream;
    this.#receiver.onResponse(head, endStream);
  }

  /** A head that cannot be read, or passed on, ends this exchange and nothing else. */
  #breakBy(error: unknown): void {
    if (!(error instanceof HttpError)) throw error;
    this.#break(error.reason);
  }

  /** The server broke HTTP on this stream. */
  #break(reason: string): void {
    this.#isOver = true;
    this.stream?.reset(H2.protocolError);
    this.#receiver.onAbort(new HttpError('protocol', reason, { h2Code: H2.protocolError }));
  }
}
