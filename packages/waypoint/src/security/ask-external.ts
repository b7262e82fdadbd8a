/**
 * Asks the services that CUSTOM policies name. Whatever goes wrong is a verdict: nothing is thrown, and without an answer in
 * time a request is refused, unless the mesh's settings say that it may pass.
 */
import {
  AUTHORIZATION_CHECK_PATH,
  decodeCheckResponse,
  encodeCheckRequest,
} from '@ambit/api/external-authorization';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import type { ExternalCheck } from '../decide/verdict.ts';
import { GRPC_REQUEST_FIELDS, grpcField, grpcFrame, grpcMessage } from '../grpc.ts';
import type { Authorizer, ExtAuthzGrpc, ExtAuthzHttp } from '../resources/authorizer.ts';
import { authorizerNamed, type MeshSettings } from '../resources/mesh-settings.ts';
import { type ExternalVerdict, type KeptBody, NO_CHANGES } from './external.ts';
import { checkRequest, checkVerdict } from './external-grpc.ts';
import { httpQuestion, httpVerdict } from './external-http.ts';
import { MAX_AUTHORIZATION_ANSWER_BYTES } from './limits.ts';

/** A request of our own to a service of the mesh. */
export interface ServiceRequest {
  readonly service: string;
  readonly port: number;
  readonly version: '1.1' | '2';
  readonly method: string;
  readonly authority?: string;
  readonly path: string;
  readonly fields: HeaderFields;
  readonly body: Uint8Array;
  readonly maxBytes: number;
}

export interface ServiceResponse {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly trailers: HeaderFields | undefined;
  readonly body: Uint8Array;
}

export interface ExternalAuthorizerDeps {
  readonly settings: () => MeshSettings;
  /** Rejects when there is no whole answer. */
  readonly ask: (request: ServiceRequest, signal: AbortSignal) => Promise<ServiceResponse>;
  /** `spiffe://…` of this waypoint. */
  readonly ownIdentity: () => string;
  readonly clock: Clock;
  /** Tells of a question that failed: for logs. */
  readonly failed: (provider: string, problem: string) => void;
}

const NOTHING = new Uint8Array(0);

export class ExternalAuthorizer {
  readonly #deps: ExternalAuthorizerDeps;

  constructor(deps: ExternalAuthorizerDeps) {
    this.#deps = deps;
  }

  /** How much of the body the provider wants to see, in bytes; 0: nothing. */
  bodyBytes({ provider }: ExternalCheck): number {
    return this.#provider(provider)?.maxRequestBytes ?? 0;
  }

  /** @param signal - Nobody wants to know any more. @param body - As far as it was kept, if the provider wants it. */
  async check(
    { provider: name }: ExternalCheck,
    subject: AuthorizationSubject,
    body: KeptBody | undefined,
    signal: AbortSignal,
  ): Promise<ExternalVerdict> {
    const provider = this.#provider(name);
    if (provider) return await this.ask(name, provider, subject, body, signal);
    this.#deps.failed(name, 'there is no such provider, or it does not authorize');
    return refused(403);
  }

  /** As {@link check}, of a service that no provider describes. @param name - For logs. */
  async ask(
    name: string,
    provider: Authorizer,
    subject: AuthorizationSubject,
    body: KeptBody | undefined,
    signal: AbortSignal,
  ): Promise<ExternalVerdict> {
    if (body && !body.isWhole && !provider.allowPartialMessage) return { kind: 'too-large' };
    try {
      return (
        (await this.#ask(provider, subject, body, signal)) ??
        this.#withoutAnswer(name, provider, 'it answers 5xx')
      );
    } catch (error) {
      return this.#withoutAnswer(name, provider, messageOf(error));
    }
  }

  #provider(name: string): Authorizer | undefined {
    return authorizerNamed(this.#deps.settings(), name);
  }

  #withoutAnswer(name: string, provider: Authorizer, problem: string): ExternalVerdict {
    this.#deps.failed(name, problem);
    if (provider.failOpen)
      return { kind: 'allow', changes: NO_CHANGES, query: undefined, responseFields: [] };
    return refused(provider.statusOnError);
  }

  async #ask(
    provider: Authorizer,
    subject: AuthorizationSubject,
    body: KeptBody | undefined,
    signal: AbortSignal,
  ): Promise<ExternalVerdict | undefined> {
    const { clock } = this.#deps;
    const late = new AbortController();
    const timer = clock.after(provider.timeoutMs, () =>
      late.abort(new Error(`no answer within ${provider.timeoutMs} ms`)),
    );
    const either = AbortSignal.any([signal, late.signal]);
    try {
      return provider.kind === 'ext-authz-http'
        ? await this.#askHttp(provider, subject, body, either)
        : await this.#askGrpc(provider, subject, body, either);
    } finally {
      timer.cancel();
    }
  }

  async #askHttp(
    provider: ExtAuthzHttp,
    { request }: AuthorizationSubject,
    body: KeptBody | undefined,
    signal: AbortSignal,
  ): Promise<ExternalVerdict | undefined> {
    if (request === undefined)
      throw new Error('a provider over HTTP cannot be asked of a connection that is no HTTP');
    const question = httpQuestion(provider, request, body);
    const { service, port } = provider;
    const answer = await this.#deps.ask(
      { service, port, version: '1.1', ...question, maxBytes: MAX_AUTHORIZATION_ANSWER_BYTES },
      signal,
    );
    return httpVerdict(provider, answer);
  }

  async #askGrpc(
    provider: ExtAuthzGrpc,
    subject: AuthorizationSubject,
    body: KeptBody | undefined,
    signal: AbortSignal,
  ): Promise<ExternalVerdict> {
    const { clock, ownIdentity, ask } = this.#deps;
    const question = checkRequest(provider, {
      subject,
      body,
      ownIdentity: ownIdentity(),
      nowMs: clock.now(),
    });
    const { service, port } = provider;
    const answer = await ask(
      {
        service,
        port,
        version: '2',
        method: 'POST',
        path: AUTHORIZATION_CHECK_PATH,
        fields: GRPC_REQUEST_FIELDS,
        body: grpcFrame(encodeCheckRequest(question)),
        maxBytes: MAX_AUTHORIZATION_ANSWER_BYTES,
      },
      signal,
    );
    const status = grpcField(answer, 'grpc-status');
    if (answer.status !== 200 || status !== '0') {
      throw new Error(`it answers ${answer.status}, grpc-status ${status ?? 'none'}`);
    }
    const message = grpcMessage(answer.body);
    if (message === undefined) throw new Error('its answer is no message');
    return checkVerdict(decodeCheckResponse(message), subject.request);
  }
}

function refused(status: number): ExternalVerdict & { readonly kind: 'deny' } {
  return { kind: 'deny', status, fields: [], body: NOTHING, failed: true };
}
