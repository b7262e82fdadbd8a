/** One connection of HTTP/2, the server's end, as exchanges. */
import type { Watched } from '../deadlines.ts';
import { H2ConnectionError, HpackError, HttpError } from '../errors.ts';
import type { HttpServerConnection, HttpServerHandler } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import type { Http2Options } from '../options.ts';
import { NOWHERE } from '../roster.ts';
import type { Transport } from '../transport/transport.ts';
import { connectionError } from './exchange-errors.ts';
import { requestOf } from './heads.ts';
import { H2 } from './protocol.ts';
import { Http2ServerExchange } from './server-exchange.ts';
import { H2Session, type SessionHandler } from './session.ts';
import type { H2Stream, StreamHandler } from './stream.ts';

/** Serves a connection that just came. */
export function serveHttp2(
  transport: Transport,
  handler: HttpServerHandler,
  options: Http2Options,
): HttpServerConnection {
  return new Http2ServerConnection(transport, handler, options);
}

export class Http2ServerConnection implements HttpServerConnection, SessionHandler, Watched {
  readonly version = '2';
  /** @internal */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** @internal */
  watchPlace = NOWHERE;
  readonly #handler: HttpServerHandler;
  readonly #budgetChange: Disposable | undefined;
  readonly #options: Http2Options;
  /** @internal */
  readonly session: H2Session;

  constructor(transport: Transport, handler: HttpServerHandler, options: Http2Options) {
    this.#handler = handler;
    this.#options = options;
    options.deadlines.watch(this);
    this.deadlineMs = options.deadlines.nowMs + options.idleTimeoutMs;
    this.session = new H2Session('server', transport, this, options);
    this.#budgetChange = options.budget?.onChange(() => this.#fitWindows());
    if (options.budget) this.#fitWindows();
  }

  get openExchanges(): number {
    return this.session.openStreams;
  }

  get idle(): boolean {
    return this.session.openStreams === 0;
  }

  drain(): void {
    this.session.drain();
  }

  destroy(): void {
    this.session.destroy();
  }

  /** @internal */
  onDeadline(): void {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.session.drain();
  }

  /** @internal */
  onStream(stream: H2Stream, fields: HeaderFields, endStream: boolean): StreamHandler {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    try {
      const { head, contentLength } = requestOf(fields, endStream);
      const exchange = new Http2ServerExchange(stream, head, contentLength, this.#options.budget);
      stream.handler = exchange;
      exchange.receiver = this.#handler.onRequest(exchange);
      return exchange;
    } catch (error) {
      if (!(error instanceof HttpError) || error.status === 0) throw error;
      return this.#refuse(stream, error);
    }
  }

  /** @internal */
  onTooLarge(stream: H2Stream): StreamHandler {
    return this.#refuse(stream, new HttpError('limit', 'header-too-large', { status: 431 }));
  }

  /** @internal */
  onMalformed(problem: string): void {
    this.#refused(new HttpError('protocol', 'malformed-headers', { cause: new Error(problem) }));
  }

  /** @internal */
  onChange(): void {
    const { deadlines, idleTimeoutMs } = this.#options;
    if (this.session.openStreams === 0) this.deadlineMs = deadlines.nowMs + idleTimeoutMs;
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#options.deadlines.unwatch(this);
    this.#budgetChange?.[Symbol.dispose]();
    if (error instanceof H2ConnectionError || error instanceof HpackError)
      this.#refused(connectionError(error));
    this.#handler.onClosed?.(error);
  }

  /** As memory fills, peers may send less of each message. */
  #fitWindows(): void {
    const { budget, streamWindowBytes } = this.#options;
    if (budget) this.session.limitStreamWindow(budget.windowFor(streamWindowBytes));
  }

  #refused(error: HttpError): void {
    this.#handler.onRefused?.(error, this.version);
  }

  #refuse(stream: H2Stream, error: HttpError): StreamHandler {
    this.#refused(error);
    const text = Buffer.from(`${error.reason}\n`, 'latin1');
    const status = String(error.status);
    stream.handler = REFUSED;
    stream.respondFields(
      [':status', status, 'content-type', 'text/plain', 'content-length', String(text.length)],
      false,
    );
    stream.write(text);
    stream.end();
    return REFUSED;
  }
}

/** What still comes of a request that was refused is dropped. */
const REFUSED: StreamHandler = {
  onHeaders() {},
  onData: (stream, bytes) => stream.credit(bytes.length),
  onEnd() {},
  onReset() {},
  onWritable() {},
  onSent: (stream) => {
    if (!stream.hasRemoteEnded) stream.reset(H2.noError);
  },
};
