/**
 * One try of a request at one endpoint: waits for a connection, sends, and hands on what is answered.
 *
 * It ends in exactly one way: the whole answer, a failure, or being given up. A kept connection that turns out to have been
 * closed by the endpoint is no failure of a request that may be repeated: it is sent once more, on another connection.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { HttpError } from '@ambit/http/errors';
import type {
  ClientExchange,
  HttpClientConnection,
  RequestHead,
  ResponseHead,
  ResponseReceiver,
} from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import { endpointResult } from '../decide/outlier.ts';
import type { ConnectionView } from '../decide/request-view.ts';
import { type AttemptOutcome, IDEMPOTENT } from '../decide/retry.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import { NOT_ENDPOINTS_FAULT, UpstreamError } from '../upstream/errors.ts';
import type { HttpVersion, PoolWaiter } from '../upstream/http-pool.ts';
import { DROPPED_ANSWER_BYTES, DROPPED_ANSWER_MS } from '../limits.ts';
import type { RequestBody } from './request-body.ts';

export interface AttemptHost {
  onAttemptInformational(head: ResponseHead): void;
  /** The answer begins. Whoever does not want it gives the try up within the call. */
  onAttemptResponse(attempt: Attempt, head: ResponseHead, endsHere: boolean): void;
  onAttemptData(attempt: Attempt, bytes: Buffer): void;
  /** The answer is whole. */
  onAttemptEnd(attempt: Attempt, trailers: HeaderFields | undefined): void;
  onAttemptFailed(attempt: Attempt, outcome: AttemptOutcome, error: UpstreamError): void;
  /** The head is on a connection: the client may be asked for the body now. */
  onAttemptSending(attempt: Attempt): void;
  /** Something here is wrong. */
  onAttemptFault(error: unknown): void;
}

export interface AttemptOptions {
  readonly host: AttemptHost;
  readonly endpoint: UpstreamEndpoint;
  readonly version: HttpVersion;
  /** Whose request it is. */
  readonly client: ConnectionView;
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly clock: Clock;
  readonly perTryMs: number | undefined;
}

export class Attempt implements PoolWaiter, ResponseReceiver {
  readonly endpoint: UpstreamEndpoint;
  readonly #options: AttemptOptions;
  /** When it began, and when the answer did; milliseconds of the monotonic clock. */
  readonly startedMs: number;
  #answeredMs: number | undefined;
  #exchange: ClientExchange | undefined;
  /** Of the connection when the request was sent: with some, it was a kept one. */
  #completedBefore = 0;
  /** Our end of the connection; empty before there is one. */
  localAddress = '';
  #waiting: Disposable | undefined;
  #timer: Timer | undefined;
  #repeated = false;
  #over = false;
  #sent = false;
  /** Of an answer that is dropped. */
  #dropped = -1;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    this.startedMs = options.clock.monotonicMs();
  }

  /** From its beginning to the endpoint's first answer. */
  get upstreamMs(): number | undefined {
    return this.#answeredMs === undefined ? undefined : this.#answeredMs - this.startedMs;
  }

  /** It has failed, or nobody wants it any more. */
  get isOver(): boolean {
    return this.#over;
  }

  get isAnswered(): boolean {
    return this.#answeredMs !== undefined;
  }

  start(): void {
    const { perTryMs, clock } = this.#options;
    this.endpoint.activeRequests += 1;
    if (perTryMs !== undefined) this.#timer = clock.after(perTryMs, () => this.#timedOut(perTryMs));
    this.#acquire();
  }

  /** The result is not wanted any more. */
  giveUp(): void {
    if (this.#over) return;
    this.#settle();
    this.#waiting?.[Symbol.dispose]();
    this.#exchange?.abort('cancelled');
  }

  /** The answer is not wanted; a short one is read and dropped, so that its connection can be kept. */
  drop(): void {
    if (this.#over) return;
    this.#settle();
    this.#dropped = 0;
    this.#timer = this.#options.clock.after(DROPPED_ANSWER_MS, () => this.#exchange?.abort('cancelled'));
  }

  /** As many bytes of the answer are through. */
  credit(bytes: number): void {
    this.#exchange?.credit(bytes);
  }

  /** @internal */
  onConnection(connection: HttpClientConnection): void {
    const { host, head, body } = this.#options;
    this.#waiting = undefined;
    this.#completedBefore = connection.completedExchanges;
    this.localAddress = connection.localAddress;
    try {
      this.#exchange = connection.request(head, this);
    } catch (error) {
      this.#unsendable(error);
      return;
    }
    this.#sent = true;
    if (head.endsHere) return;
    host.onAttemptSending(this);
    const exchange = this.#exchange;
    if (!this.#over) this.#contain(() => body.sendTo(exchange));
  }

  /** @internal */
  onFailed(error: UpstreamError): void {
    this.#waiting = undefined;
    this.#fail({ kind: 'connect-failure' }, error);
  }

  /** @internal */
  onInformational(head: ResponseHead): void {
    if (!this.#over) this.#options.host.onAttemptInformational(head);
  }

  /** @internal */
  onResponse(head: ResponseHead, endsHere: boolean): void {
    if (this.#over) return;
    this.#answeredMs = this.#options.clock.monotonicMs();
    this.endpoint.report(endpointResult(head.status));
    this.#options.host.onAttemptResponse(this, head, endsHere);
    if (endsHere) this.onEnd(undefined);
  }

  /** @internal */
  onData(bytes: Buffer): void {
    if (!this.#over) this.#options.host.onAttemptData(this, bytes);
    else if (this.#dropped >= 0) this.#drop(bytes);
  }

  /** @internal */
  onEnd(trailers: HeaderFields | undefined): void {
    if (this.#over) {
      this.#timer?.cancel();
      return;
    }
    this.#settle();
    this.#options.host.onAttemptEnd(this, trailers);
  }

  /** @internal */
  onAbort(error: HttpError): void {
    if (this.#over) {
      this.#timer?.cancel();
      return;
    }
    this.#exchange = undefined;
    if (error.kind === 'refused') {
      this.#fail({ kind: 'refused' }, upstreamErrorOf(error));
      return;
    }
    if (!this.isAnswered && error.kind === 'closed' && this.#mayRepeat()) {
      this.#repeated = true;
      this.#options.body.stop();
      this.#acquire();
      return;
    }
    const onKeptConnection = this.#completedBefore > 0 && !this.isAnswered && error.kind === 'closed';
    this.#fail({ kind: 'reset', sent: error.mayHaveReached, onKeptConnection }, upstreamErrorOf(error));
  }

  /** @internal */
  onWritable(): void {
    if (!this.#over) this.#contain(() => this.#options.body.onWritable());
  }

  #contain(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#options.host.onAttemptFault(error);
    }
  }

  /** What filters, tokens or services made of the request cannot be written; the connection is as it was. */
  #unsendable(error: unknown): void {
    if (error instanceof HttpError && error.kind === 'refused')
      this.#fail({ kind: 'refused' }, upstreamErrorOf(error));
    else {
      const options = { cause: error };
      const broken = new UpstreamError('UPE', 'request_not_sendable', messageOf(error), options);
      this.#fail({ kind: 'cannot-be-sent' }, broken);
    }
  }

  #drop(bytes: Buffer): void {
    this.#dropped += bytes.length;
    if (this.#dropped > DROPPED_ANSWER_BYTES) {
      this.#timer?.cancel();
      this.#exchange?.abort('cancelled');
    } else this.#exchange?.credit(bytes.length);
  }

  #acquire(): void {
    const { endpoint, version, client } = this.#options;
    this.#waiting = endpoint.http(version, client).acquire(this);
  }

  /** The endpoint closed a kept connection while the request was on its way. */
  #mayRepeat(): boolean {
    const { head, body } = this.#options;
    return (
      !this.#repeated &&
      this.#completedBefore > 0 &&
      IDEMPOTENT.has(head.method) &&
      !body.isLost &&
      this.#sent
    );
  }

  #timedOut(perTryMs: number): void {
    if (this.#over) return;
    this.#waiting?.[Symbol.dispose]();
    this.#exchange?.abort('cancelled');
    const message = `no answer of ${this.endpoint.key} within ${perTryMs} ms`;
    this.#fail({ kind: 'try-timeout' }, new UpstreamError('UT', 'per_try_timeout', message));
  }

  #fail(outcome: AttemptOutcome, error: UpstreamError): void {
    if (this.#over) return;
    this.#settle();
    if (!NOT_ENDPOINTS_FAULT.has(error.reason)) this.endpoint.report('local-origin');
    this.#options.host.onAttemptFailed(this, outcome, error);
  }

  #settle(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.endpoint.activeRequests -= 1;
    this.#options.body.stop();
  }
}

function upstreamErrorOf(error: HttpError): UpstreamError {
  const message = messageOf(error);
  const options = { cause: error, retryable: error.retryable };
  switch (error.kind) {
    case 'refused':
      return new UpstreamError('UR', 'remote_refused_stream_reset', message, options);
    case 'reset':
      return new UpstreamError('UR', 'remote_reset', message, options);
    case 'closed':
      return new UpstreamError('UC', 'connection_termination', message, options);
    case 'protocol':
    case 'limit':
    case 'timeout':
      return new UpstreamError('UPE', 'protocol_error', message, options);
    default:
      return error.kind satisfies never;
  }
}
