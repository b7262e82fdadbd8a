/** The client's end of one exchange over HTTP/1.1: how a request's body is written. */
import { HttpError } from '../errors.ts';
import type { AbortReason, ClientExchange, RequestHead, ResponseReceiver } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import type { Framing } from './head-writer.ts';
import { OutgoingBody } from './outgoing-body.ts';
import type { Wire } from './wire.ts';

/** What an exchange asks of its connection. */
export interface ClientExchangeHost {
  readonly wire: Wire;
  /** The exchange is given up, or its request cannot be whole. */
  broke(exchange: Http1ClientExchange): void;
}

export class Http1ClientExchange implements ClientExchange {
  readonly head: RequestHead;
  readonly receiver: ResponseReceiver;
  /** @internal Delivered and not credited. */
  uncredited = 0;
  /** @internal The request is whole. */
  isSent: boolean;
  /** @internal A final response began. */
  isAnswered = false;
  /** @internal The writer was told to wait. */
  isStopped = false;
  /** @internal */
  informationals = 0;
  #host: ClientExchangeHost | undefined;
  readonly #body: OutgoingBody | undefined;

  constructor(host: ClientExchangeHost, head: RequestHead, receiver: ResponseReceiver, framing: Framing) {
    this.#host = host;
    this.head = head;
    this.receiver = receiver;
    this.isSent = head.endsHere;
    if (!head.endsHere) this.#body = new OutgoingBody(host.wire.queue, framing);
  }

  write(bytes: Uint8Array): boolean {
    const host = this.#host;
    if (!host || !this.#body || this.isSent) return true;
    if (!this.#body.write(bytes)) {
      this.#break('body-longer-than-announced');
      return true;
    }
    host.wire.flushSoon();
    if (!host.wire.isCongested) return true;
    this.isStopped = true;
    return false;
  }

  end(trailers?: HeaderFields): void {
    const host = this.#host;
    if (!host || !this.#body || this.isSent) return;
    if (!this.#body.end(trailers)) {
      this.#break('body-shorter-than-announced');
      return;
    }
    this.isSent = true;
    host.wire.flush();
  }

  abort(_reason: AbortReason): void {
    const host = this.#host;
    this.close();
    host?.broke(this);
  }

  credit(bytes: number): void {
    if (!this.#host || bytes <= 0) return;
    const credited = Math.min(bytes, this.uncredited);
    this.uncredited -= credited;
    this.#host.wire.transport.credit(credited);
  }

  /** @internal Ended, one way or another: nothing does anything any more. */
  close(): void {
    this.#host = undefined;
  }

  /** @internal The last event. */
  fail(error: HttpError): void {
    this.close();
    this.receiver.onAbort(error);
  }

  #break(reason: string): void {
    const host = this.#host;
    this.close();
    host?.broke(this);
    queueMicrotask(() => this.receiver.onAbort(new HttpError('protocol', reason)));
  }
}
