/** The smallest proxy: an exchange of a server carried on by a client's, with back-pressure both ways. For tests and benchmarks. */
import type { Duplex } from 'node:stream';
import type { HttpError } from '../errors.ts';
import type {
  BodyReceiver,
  ClientExchange,
  HttpClientConnection,
  ResponseHead,
  ResponseReceiver,
  ServerExchange,
} from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';

/** Sends the request on, and the answer back; `onFinished` when nothing more comes of it. */
export function forward(
  downstream: ServerExchange,
  connection: HttpClientConnection,
  onFinished?: (error: HttpError | undefined) => void,
): BodyReceiver {
  const response = new Response(downstream, onFinished);
  const upstream = connection.request(downstream.head, response);
  response.upstream = upstream;
  return new Request(downstream, upstream, response);
}

class Request implements BodyReceiver {
  readonly #downstream: ServerExchange;
  readonly #upstream: ClientExchange;
  readonly #response: Response;

  constructor(downstream: ServerExchange, upstream: ClientExchange, response: Response) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#response = response;
  }

  onData(bytes: Buffer): void {
    if (this.#upstream.write(bytes)) this.#downstream.credit(bytes.length);
    else this.#response.owedDownstream += bytes.length;
  }

  onEnd(trailers: HeaderFields | undefined): void {
    this.#upstream.end(trailers);
  }

  onAbort(error: HttpError): void {
    this.#upstream.abort('cancelled');
    this.#response.finish(error);
  }

  onWritable(): void {
    const { owedUpstream } = this.#response;
    this.#response.owedUpstream = 0;
    this.#upstream.credit(owedUpstream);
  }
}

class Response implements ResponseReceiver {
  upstream: ClientExchange | undefined;
  /** Received and not taken by the other side yet. */
  owedUpstream = 0;
  owedDownstream = 0;
  readonly #downstream: ServerExchange;
  #onFinished: ((error: HttpError | undefined) => void) | undefined;

  constructor(downstream: ServerExchange, onFinished: ((error: HttpError | undefined) => void) | undefined) {
    this.#downstream = downstream;
    this.#onFinished = onFinished;
  }

  onInformational(head: ResponseHead): void {
    this.#downstream.informational(head);
  }

  onResponse(head: ResponseHead, endsHere: boolean): void {
    this.#downstream.respond(head, endsHere);
    if (endsHere) this.finish(undefined);
  }

  onData(bytes: Buffer): void {
    if (this.#downstream.write(bytes)) this.upstream?.credit(bytes.length);
    else this.owedUpstream += bytes.length;
  }

  onEnd(trailers: HeaderFields | undefined): void {
    this.#downstream.end(trailers);
    this.finish(undefined);
  }

  onAbort(error: HttpError): void {
    this.#downstream.abort(error.kind === 'refused' ? 'refused' : 'failed');
    this.finish(error);
  }

  onWritable(): void {
    const { owedDownstream } = this;
    this.owedDownstream = 0;
    this.#downstream.credit(owedDownstream);
  }

  onSwitched(head: ResponseHead, tunnel: Duplex): void {
    const other = this.#downstream.switchProtocols(head);
    other.pipe(tunnel).pipe(other);
    other.on('error', () => tunnel.destroy());
    tunnel.on('error', () => other.destroy());
    this.finish(undefined);
  }

  finish(error: HttpError | undefined): void {
    const told = this.#onFinished;
    this.#onFinished = undefined;
    told?.(error);
  }
}
