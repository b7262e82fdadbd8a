/**
 * One request of the waypoint itself to an endpoint, with its whole answer: no report, and no retry but for a kept connection
 * that the endpoint closed meanwhile. These are questions: asking twice is the same as once.
 */
import { messageOf } from '@ambit/core/errors';
import type { HttpError } from '@ambit/http/errors';
import type {
  ClientExchange,
  HttpClientConnection,
  ResponseHead,
  ResponseReceiver,
} from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { UpstreamEndpoint } from './endpoint.ts';
import { UpstreamError } from './errors.ts';
import type { HttpVersion, PoolWaiter } from './http-pool.ts';

export interface Question {
  readonly version: HttpVersion;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly fields: HeaderFields;
  readonly body: Uint8Array;
  /** Of the answer's body, what is wanted; the rest is dropped. */
  readonly maxBytes: number;
}

export interface Answer {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly trailers: HeaderFields | undefined;
  readonly body: Uint8Array;
}

/** @throws {@link UpstreamError} when there is no whole answer; `signal.reason` when that aborts first. */
export async function askEndpoint(
  endpoint: UpstreamEndpoint,
  question: Question,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  return await new Promise<Answer>((resolve, reject) => {
    const asking = new Asking(endpoint, question, resolve, reject);
    signal.addEventListener('abort', () => asking.giveUp(signal.reason as Error), { once: true });
    asking.start();
  });
}

class Asking implements PoolWaiter, ResponseReceiver {
  readonly #endpoint: UpstreamEndpoint;
  readonly #question: Question;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: Error) => void;
  #waiting: Disposable | undefined;
  #exchange: ClientExchange | undefined;
  #head: ResponseHead | undefined;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  /** It had served others before: the endpoint may have closed it just then. */
  #isKept = false;
  #isRepeated = false;
  #over = false;

  constructor(
    endpoint: UpstreamEndpoint,
    question: Question,
    resolve: (answer: Answer) => void,
    reject: (error: Error) => void,
  ) {
    this.#endpoint = endpoint;
    this.#question = question;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    this.#endpoint.activeRequests += 1;
    this.#acquire();
  }

  #acquire(): void {
    this.#waiting = this.#endpoint.http(this.#question.version).acquire(this);
  }

  giveUp(error: Error): void {
    if (!this.#settle()) return;
    this.#waiting?.[Symbol.dispose]();
    this.#exchange?.abort('cancelled');
    this.#reject(error);
  }

  onConnection(connection: HttpClientConnection): void {
    const { method, authority, path, fields, body } = this.#question;
    this.#waiting = undefined;
    this.#isKept = connection.completedExchanges > 0;
    const endsHere = body.length === 0;
    const length = endsHere ? [] : ['content-length', String(body.length)];
    const head = {
      method,
      scheme: 'http' as const,
      authority,
      path,
      version: this.#question.version,
      fields: [...fields, ...length],
      upgrade: undefined,
      expectsContinue: false,
      endsHere,
    };
    try {
      this.#exchange = connection.request(head, this);
    } catch (error) {
      this.onFailed(new UpstreamError('UPE', 'request_not_sendable', messageOf(error), { cause: error }));
      return;
    }
    if (endsHere) return;
    this.#exchange.write(body);
    this.#exchange.end();
  }

  onFailed(error: UpstreamError): void {
    if (this.#settle()) this.#reject(error);
  }

  onInformational(): void {}

  onResponse(head: ResponseHead, endsHere: boolean): void {
    this.#head = head;
    if (endsHere) this.onEnd(undefined);
  }

  onData(bytes: Buffer): void {
    const left = this.#question.maxBytes - this.#bytes;
    if (left > 0) this.#pieces.push(Buffer.from(bytes.subarray(0, left)));
    this.#bytes += bytes.length;
    if (left > 0) this.#exchange?.credit(bytes.length);
    else this.#finish(undefined);
  }

  onEnd(trailers: HeaderFields | undefined): void {
    this.#finish(trailers);
  }

  onAbort(error: HttpError): void {
    if (this.#over) return;
    const wasClosing = this.#isKept && (error.kind === 'closed' || error.kind === 'refused');
    if (wasClosing && !this.#head && !this.#isRepeated) {
      this.#isRepeated = true;
      this.#acquire();
      return;
    }
    this.#settle();
    this.#reject(new UpstreamError('UC', 'connection_termination', messageOf(error), { cause: error }));
  }

  onWritable(): void {}

  /** With more than is wanted, the answer counts as whole. */
  #finish(trailers: HeaderFields | undefined): void {
    const head = this.#head;
    if (!head || !this.#settle()) return;
    if (this.#bytes > this.#question.maxBytes) this.#exchange?.abort('cancelled');
    this.#resolve({ ...head, trailers, body: Buffer.concat(this.#pieces) });
  }

  #settle(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#endpoint.activeRequests -= 1;
    return true;
  }
}
