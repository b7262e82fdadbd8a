/** The server's end of one exchange over HTTP/1.1: how an answer is written. */
import type { Duplex } from 'node:stream';
import { HttpError } from '../errors.ts';
import type { AbortReason, BodyReceiver, RequestHead, ResponseHead, ServerExchange } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import { withWebSocketAccept } from '../websocket.ts';
import { writeInformational, writeResponse } from './head-writer.ts';
import { OutgoingBody } from './outgoing-body.ts';
import type { Wire } from './wire.ts';

/** What an exchange asks of its connection. */
export interface ExchangeHost {
  readonly wire: Wire;
  /** Whether the connection stays after the answer that begins now. */
  keepsAliveAfter(exchange: Http1ServerExchange): boolean;
  /** The answer is whole. */
  answered(exchange: Http1ServerExchange): void;
  /** The answer cannot be whole. */
  broke(exchange: Http1ServerExchange): void;
  switchTo(exchange: Http1ServerExchange): Duplex;
}

export class Http1ServerExchange implements ServerExchange {
  readonly head: RequestHead;
  /** @internal Set as soon as there is one. */
  receiver: BodyReceiver | undefined;
  /** @internal Delivered and not credited. */
  uncredited = 0;
  /** @internal The body is here, all of it. */
  isReceived: boolean;
  /** @internal The final response began. */
  hasAnswered = false;
  /** @internal The client was told to go on. */
  hasContinued = false;
  /** @internal The writer was told to wait. */
  isStopped = false;
  #host: ExchangeHost | undefined;
  #body: OutgoingBody | undefined;

  constructor(host: ExchangeHost, head: RequestHead) {
    this.#host = host;
    this.head = head;
    this.isReceived = head.endsHere;
  }

  informational(head: ResponseHead): void {
    const host = this.#host;
    if (!host || this.hasAnswered || this.head.version === '1.0') return;
    if (head.status < 100 || head.status > 199 || head.status === 101)
      throw new HttpError('protocol', 'not-informational');
    writeInformational(host.wire.queue, head);
    if (head.status === 100) this.hasContinued = true;
    host.wire.flush();
  }

  respond(head: ResponseHead, endsHere: boolean): void {
    const host = this.#host;
    if (!host || this.hasAnswered) return;
    const framing = writeResponse(host.wire.queue, head, endsHere, {
      method: this.head.method,
      isOld: this.head.version === '1.0',
      keepsAlive: host.keepsAliveAfter(this),
    });
    this.hasAnswered = true;
    if (endsHere) {
      host.answered(this);
      return;
    }
    this.#body = new OutgoingBody(host.wire.queue, framing);
    host.wire.flushSoon();
  }

  write(bytes: Uint8Array): boolean {
    const host = this.#host;
    const body = this.#body;
    if (!host || !body) return true;
    if (!body.write(bytes)) {
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
    if (!host || !this.#body) return;
    if (this.#body.end(trailers)) host.answered(this);
    else this.#break('body-shorter-than-announced');
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

  switchProtocols(head: ResponseHead): Duplex {
    const host = this.#host;
    const { method, upgrade } = this.head;
    if (!host || this.hasAnswered || (method !== 'CONNECT' && upgrade === undefined))
      throw new HttpError('closed', 'nothing-to-switch');
    this.hasAnswered = true;
    if (method === 'CONNECT') writeInformational(host.wire.queue, { status: 200, fields: head.fields });
    else {
      const fields = withWebSocketAccept(head.fields, this.head);
      writeInformational(host.wire.queue, { status: 101, fields }, upgrade);
    }
    return host.switchTo(this);
  }

  /** @internal Ended, one way or another: nothing does anything any more. */
  close(): void {
    this.#host = undefined;
    this.#body = undefined;
  }

  /** @internal The last event. */
  fail(error: HttpError): void {
    const { receiver } = this;
    this.close();
    receiver?.onAbort(error);
  }

  /** The answer is not what its head said: our side's fault, and no answer any more. */
  #break(reason: string): void {
    const host = this.#host;
    this.close();
    host?.broke(this);
    queueMicrotask(() => this.receiver?.onAbort(new HttpError('protocol', reason)));
  }
}
