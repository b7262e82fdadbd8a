/** What is told of a request when it has ended, gathered while it lasts. */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { HttpError } from '@ambit/http/errors';
import type { RequestHead, ResponseHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import { type RouteName, routeText } from '../decide/route-decision.ts';
import type { AuthorizerMetadata } from '../security/external.ts';
import type { BegunRequest } from '../telemetry/begun.ts';
import type { RequestRecord, SentRequest } from '../telemetry/record.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import type { UpstreamError } from '../upstream/errors.ts';
import { type Downstream, endsOf } from './downstream.ts';
import { fieldBytes } from './fields.ts';
import { formatFlags, type ResponseFlag } from './flags.ts';
import { GrpcMessageCounter, isGrpc } from '../grpc.ts';

const NO_FIELDS: HeaderFields = [];
/** Shared by those that end well. */
const NO_FLAGS: ReadonlySet<ResponseFlag> = new Set();

/** What became of the tries. */
export interface Tried {
  readonly attempts: number;
  /** Our end of the connection of the last one; empty without one. */
  readonly localAddress: string;
}

export class RequestReport {
  /** The request counts among those under way. */
  isAdmitted = false;
  readonly #clock: Clock;
  readonly #downstream: Downstream;
  readonly #request: RequestHead;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  #flags: ReadonlySet<ResponseFlag> = NO_FLAGS;
  readonly #requestMessages: GrpcMessageCounter | undefined;
  readonly #responseMessages: GrpcMessageCounter | undefined;
  #details = '';
  #termination = '';
  #transportFailure = '';
  #route = '';
  #metadata: AuthorizerMetadata | undefined;
  #endpoint: UpstreamEndpoint | undefined;
  #sent: SentRequest | undefined;
  #response: ResponseHead | undefined;
  #trailers: HeaderFields | undefined;
  #requestBodyBytes = 0;
  #responseBodyBytes = 0;
  #requestEndedMs: number | undefined;
  #responseStartMs: number | undefined;
  #upstreamMs: number | undefined;

  constructor(clock: Clock, downstream: Downstream, request: RequestHead) {
    this.#clock = clock;
    this.#downstream = downstream;
    this.#request = request;
    this.#startedAtMs = clock.now();
    this.#startedMs = clock.monotonicMs();
    const grpc = isGrpc(request.fields);
    this.#requestMessages = grpc ? new GrpcMessageCounter() : undefined;
    this.#responseMessages = grpc ? new GrpcMessageCounter() : undefined;
    if (request.endsHere) this.#requestEndedMs = 0;
  }

  flag(flag: ResponseFlag): void {
    this.#flags = new Set([...this.#flags, flag]);
  }

  /** The last word counts. */
  details(details: string): void {
    this.#details = details;
  }

  /** What ended the client's side; an answer is the codec's own, unless one had begun. */
  broke(error: HttpError): void {
    this.#termination = messageOf(error);
    if (!this.#response && error.status > 0) this.#response = { status: error.status, fields: NO_FIELDS };
  }

  transportFailure(error: UpstreamError): void {
    this.#transportFailure = error.message;
  }

  route(name: RouteName): void {
    this.#route = routeText(name);
  }

  attempt(endpoint: UpstreamEndpoint, sent: SentRequest): void {
    this.#endpoint = endpoint;
    this.#sent = sent;
  }

  /** What several services tell stands together; of one name the last word counts. */
  metadata(told: AuthorizerMetadata): void {
    this.#metadata = this.#metadata ? { ...this.#metadata, ...told } : told;
  }

  /** That takes the place of nothing that was told before. */
  moreMetadata(told: AuthorizerMetadata): void {
    this.#metadata = { ...told, ...this.#metadata };
  }

  requestData(bytes: Buffer): void {
    this.#requestBodyBytes += bytes.length;
    this.#requestMessages?.push(bytes);
  }

  requestEnded(): void {
    this.#requestEndedMs = this.elapsedMs;
  }

  /** @param upstreamMs - `undefined` for an answer of our own. */
  response(head: ResponseHead, upstreamMs: number | undefined): void {
    this.#response = head;
    this.#upstreamMs = upstreamMs;
    this.#responseStartMs = upstreamMs === undefined ? undefined : this.elapsedMs;
  }

  responseData(bytes: Uint8Array): void {
    this.#responseBodyBytes += bytes.length;
    this.#responseMessages?.push(bytes);
  }

  responseEnded(trailers: HeaderFields | undefined): void {
    this.#trailers = trailers;
  }

  record(begun: BegunRequest, { attempts, localAddress }: Tried): RequestRecord {
    return {
      ...endsOf(this.#downstream, this.#endpoint, localAddress),
      startedAtMs: this.#startedAtMs,
      durationMs: this.elapsedMs,
      flags: formatFlags(this.#flags),
      details: this.#details,
      transportFailure: this.#transportFailure,
      routeName: this.#route,
      serverName: this.#downstream.connection.sni ?? '',
      request: this.#request,
      sent: this.#sent,
      status: this.#response?.status ?? 0,
      responseFields: this.#response?.fields ?? NO_FIELDS,
      trailers: this.#trailers,
      requestHeaderBytes: headBytes(this.#request),
      requestBodyBytes: this.#requestBodyBytes,
      responseHeaderBytes: this.#response ? fieldBytes(this.#response.fields) : 0,
      responseBodyBytes: this.#responseBodyBytes,
      requestMessages: this.#requestMessages?.count ?? 0,
      responseMessages: this.#responseMessages?.count ?? 0,
      requestDurationMs: this.#requestEndedMs,
      responseStartMs: this.#responseStartMs,
      upstreamMs: this.#upstreamMs,
      attempts,
      terminationDetails: this.#termination,
      authorizerMetadata: this.#metadata,
      begun,
    };
  }

  /** Since the request's head came. */
  get elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs;
  }
}

function headBytes({ method, path, authority, fields }: RequestHead): number {
  return method.length + path.length + authority.length + fieldBytes(fields);
}
