/** One connection of HTTP/2, the client's end, as exchanges. */
import type { Watched } from '../deadlines.ts';
import { H2ClosedError, HttpError } from '../errors.ts';
import type {
  ClientExchange,
  HttpClientConnection,
  HttpClientHandler,
  RequestHead,
  ResponseReceiver,
} from '../exchange.ts';
import type { Http2ClientOptions } from '../options.ts';
import { NOWHERE } from '../roster.ts';
import type { Transport } from '../transport/transport.ts';
import { Http2ClientExchange } from './client-exchange.ts';
import { requestFields } from './heads.ts';
import { H2Session, type SessionHandler } from './session.ts';

/** Speaks HTTP/2 as a client on a connection that was just made, with prior knowledge or after ALPN. */
export function connectHttp2(
  transport: Transport,
  handler: HttpClientHandler,
  options: Http2ClientOptions,
): HttpClientConnection {
  return new Http2ClientConnection(transport, handler, options);
}

class Http2ClientConnection implements HttpClientConnection, SessionHandler, Watched {
  readonly version = '2';
  /** @internal */
  deadlineMs: number;
  /** @internal */
  watchPlace = NOWHERE;
  readonly #handler: HttpClientHandler;
  readonly #budgetChange: Disposable | undefined;
  readonly #options: Http2ClientOptions;
  readonly #session: H2Session;
  #completed = 0;

  constructor(transport: Transport, handler: HttpClientHandler, options: Http2ClientOptions) {
    this.#handler = handler;
    this.#options = options;
    options.deadlines.watch(this);
    this.deadlineMs = options.deadlines.nowMs + options.idleTimeoutMs;
    this.#session = new H2Session('client', transport, this, options);
    this.#budgetChange = options.budget?.onChange(() => this.#fitWindows());
    if (options.budget) this.#fitWindows();
  }

  get localAddress(): string {
    return this.#session.localAddress;
  }

  get canRequest(): boolean {
    return this.#session.isOpen && this.#session.openStreams < this.maxExchanges;
  }

  get isClosing(): boolean {
    return !this.#session.isOpen;
  }

  get openExchanges(): number {
    return this.#session.openStreams;
  }

  get maxExchanges(): number {
    return Math.min(this.#session.maxStreams, this.#options.maxExchanges);
  }

  get completedExchanges(): number {
    return this.#completed;
  }

  get canSwitchProtocols(): boolean {
    return this.#session.takesExtendedConnect;
  }

  request(head: RequestHead, receiver: ResponseReceiver): ClientExchange {
    if (!this.canRequest) throw new HttpError('refused', 'connection-takes-no-request');
    if (head.upgrade !== undefined && !this.canSwitchProtocols)
      throw new HttpError('refused', 'server-takes-no-extended-connect');
    this.deadlineMs = Number.POSITIVE_INFINITY;
    const exchange = new Http2ClientExchange(head, receiver, this.#options.budget, () => {
      this.#completed++;
    });
    const endsHere = head.endsHere && head.upgrade === undefined && head.method !== 'CONNECT';
    try {
      exchange.stream = this.#session.requestFields(requestFields(head), exchange, endsHere);
    } catch (error) {
      throw error instanceof H2ClosedError
        ? new HttpError('refused', 'connection-closed', { cause: error })
        : error;
    }
    return exchange;
  }

  drain(): void {
    this.#session.drain();
  }

  destroy(): void {
    this.#session.destroy();
  }

  /** @internal */
  onDeadline(): void {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#session.drain();
  }

  /** @internal */
  onChange(): void {
    const { deadlines, idleTimeoutMs } = this.#options;
    if (this.#session.openStreams === 0) this.deadlineMs = deadlines.nowMs + idleTimeoutMs;
    this.#handler.onChange?.();
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#options.deadlines.unwatch(this);
    this.#budgetChange?.[Symbol.dispose]();
    this.#handler.onClosed?.(error);
  }

  /** As memory fills, peers may send less of each message. */
  #fitWindows(): void {
    const { budget, streamWindowBytes } = this.#options;
    if (budget) this.#session.limitStreamWindow(budget.windowFor(streamWindowBytes));
  }
}
