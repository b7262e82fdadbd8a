/**
 * Whether a request may go on: its tokens, then the services that CUSTOM policies name, then the policies themselves.
 *
 * Each question is asked after the one before was answered; only tokens and services are waited for. Whatever goes wrong
 * while asking is a refusal.
 */
import type { ResponseHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { authorize, externalChecks } from '../decide/authorize.ts';
import type { ConnectionView, RequestView } from '../decide/request-view.ts';
import type { ExternalCheck } from '../decide/verdict.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { Authentication, FieldChanges } from '../security/authenticate.ts';
import { withQuery } from '../security/change-query.ts';
import type { AuthorizerMetadata, ExternalVerdict, KeptBody } from '../security/external.ts';
import type { ExchangeContext } from './context.ts';
import { without, withFields } from './fields.ts';
import { accessDenied, INTERNAL_ERROR, type Refusal, tokenDenied, TOO_LARGE } from './refusal.ts';

export interface GateHost {
  /** Goes on with the first bytes of the body, at most so many, once they are here. */
  keepBody(bytes: number, goOn: (body: KeptBody) => void): void;
  /**
   * @param view - The request, with what tokens and services changed of it.
   * @param responseFields - For the client, with whatever is answered.
   * @param token - What was believed.
   */
  admitted(view: RequestView, responseFields: HeaderFields, token: AuthorizationSubject['token']): void;
  refused(refusal: Refusal): void;
  /** Runs what follows a wait, unless nobody wants it any more; nothing is thrown. */
  resume(goOn: () => void): void;
  /** Something is waited for; once. */
  waits(): void;
  /** A service that authorizes told something for logs. */
  told(metadata: AuthorizerMetadata): void;
  /** A service that authorizes answered in our place; `failed`: it did not answer. */
  denied(head: ResponseHead, body: Uint8Array, failed: boolean): void;
}

export class Gate implements Disposable {
  readonly #context: ExchangeContext;
  readonly #connection: ConnectionView;
  readonly #config: PortConfig;
  readonly #host: GateHost;
  /** Made when something is waited for. */
  #stop: AbortController | undefined;
  #view: RequestView;
  #responseFields: HeaderFields = [];
  #isWaiting = false;
  #over = false;

  constructor(
    context: ExchangeContext,
    connection: ConnectionView,
    config: PortConfig,
    view: RequestView,
    host: GateHost,
  ) {
    this.#context = context;
    this.#connection = connection;
    this.#config = config;
    this.#view = view;
    this.#host = host;
  }

  /** Calls the host once, within the call where nothing is waited for. */
  start(): void {
    const { authentication } = this.#config;
    if (authentication.length === 0) {
      this.#checkExternally(undefined);
      return;
    }
    const outcome = this.#context.security.authenticate(authentication, this.#view);
    if (outcome instanceof Promise)
      void this.#await('authentication', outcome, (one) => this.#authenticated(one));
    else this.#authenticated(outcome);
  }

  /** Nobody wants to know any more. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#stop?.abort(new Error('the request is over'));
  }

  get #signal(): AbortSignal {
    this.#stop ??= new AbortController();
    return this.#stop.signal;
  }

  async #await<T>(what: string, promise: Promise<T>, next: (value: T) => void): Promise<void> {
    try {
      this.#wait();
      const value = await promise;
      if (!this.#over) this.#host.resume(() => next(value));
    } catch (error) {
      if (this.#over) return;
      this.#context.faults.tell(`${what} of a request failed`, error);
      this.#refuse(INTERNAL_ERROR);
    }
  }

  #wait(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#host.waits();
  }

  #authenticated(outcome: Authentication): void {
    if (outcome.kind === 'refuse') {
      const { status, reason, fields } = outcome;
      this.#refuse({ status, text: reason, details: tokenDenied(reason), fields });
      return;
    }
    const { places } = outcome;
    if (places) this.#view = { ...this.#view, tokenPlaces: places };
    this.#change(outcome.changes);
    this.#checkExternally(outcome.token);
  }

  #checkExternally(token: AuthorizationSubject['token']): void {
    const checks = externalChecks(this.#config.authorization, this.#subject(token));
    this.#checkNext(token, checks, 0);
  }

  #checkNext(token: AuthorizationSubject['token'], checks: readonly ExternalCheck[], index: number): void {
    const check = checks[index];
    if (!check) {
      this.#authorize(token);
      return;
    }
    const { security } = this.#context;
    const ask = (body: KeptBody | undefined) => {
      if (this.#over) return;
      const asked = security.check(check, this.#subject(token), body, this.#signal);
      void this.#await('external authorization', asked, (verdict) => {
        if (this.#allows(verdict)) this.#checkNext(token, checks, index + 1);
      });
    };
    const bytes = security.bodyBytes(check);
    if (bytes === 0) ask(undefined);
    else {
      this.#wait();
      this.#host.keepBody(bytes, ask);
    }
  }

  #allows(verdict: ExternalVerdict): boolean {
    if (verdict.kind === 'too-large') {
      this.#refuse(TOO_LARGE);
      return false;
    }
    if (verdict.metadata) this.#host.told(verdict.metadata);
    if (verdict.kind === 'allow') {
      this.#change(verdict.changes);
      if (verdict.query) this.#view = { ...this.#view, path: withQuery(this.#view.path, verdict.query) };
      this.#responseFields = [...this.#responseFields, ...verdict.responseFields];
      return true;
    }
    const { status, fields, body, failed } = verdict;
    this.#over = true;
    this.#host.denied({ status, fields }, body, failed);
    return false;
  }

  #authorize(token: AuthorizationSubject['token']): void {
    const { authorization } = this.#config;
    const subject = this.#subject(token);
    const verdict = authorize(authorization, subject);
    this.#context.policyReport.decided(authorization, subject, verdict);
    if (verdict.kind !== 'allow') {
      this.#refuse(accessDenied(verdict.kind === 'no-allow-matched' ? 'none' : verdict.by));
      return;
    }
    this.#over = true;
    this.#host.admitted(this.#view, this.#responseFields, token);
  }

  #refuse(refusal: Refusal): void {
    this.#over = true;
    this.#host.refused(refusal);
  }

  #subject(token: AuthorizationSubject['token']): AuthorizationSubject {
    return { request: this.#view, connection: this.#connection, token };
  }

  #change({ remove, set, vouched }: FieldChanges): void {
    if (remove.length === 0 && set.length === 0) return;
    const { fields, vouched: before = [] } = this.#view;
    this.#view = {
      ...this.#view,
      fields: withFields(without(fields, new Set(remove)), set),
      vouched: [...before, ...vouched],
    };
  }
}
