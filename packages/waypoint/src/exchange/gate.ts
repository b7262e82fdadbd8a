/**
 * Whether a request may go on: its tokens, then the services that CUSTOM policies name, then the policies themselves.
 *
 * Each question is asked after the one before was answered; only tokens and services are waited for (questions.ts).
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { authorize, externalChecks } from '../decide/authorize.ts';
import type { ConnectionView, RequestView } from '../decide/request-view.ts';
import type { ExternalCheck } from '../decide/verdict.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { Authentication, FieldChanges } from '../security/authenticate.ts';
import { withQuery } from '../security/change-query.ts';
import type { ExchangeContext } from './context.ts';
import { without, withFields } from './fields.ts';
import { type Allowed, Questions, type QuestionsHost, type ServiceQuestion } from './questions.ts';
import { accessDenied, tokenDenied } from './refusal.ts';

export interface GateHost extends QuestionsHost {
  /**
   * @param view - The request, with what tokens and services changed of it.
   * @param responseFields - For the client, with whatever is answered.
   * @param token - What was believed.
   */
  admitted(view: RequestView, responseFields: HeaderFields, token: AuthorizationSubject['token']): void;
}

export class Gate implements Disposable {
  readonly #context: ExchangeContext;
  readonly #connection: ConnectionView;
  readonly #config: PortConfig;
  readonly #host: GateHost;
  readonly #questions: Questions;
  #view: RequestView;

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
    this.#questions = new Questions(context, host);
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
      void this.#questions.answer('authentication', outcome, (one) => this.#authenticated(one));
    else this.#authenticated(outcome);
  }

  /** Nobody wants to know any more. */
  [Symbol.dispose](): void {
    this.#questions[Symbol.dispose]();
  }

  #authenticated(outcome: Authentication): void {
    if (outcome.kind === 'refuse') {
      const { status, reason, fields } = outcome;
      this.#questions.refuse({ status, text: reason, details: tokenDenied(reason), fields });
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
    const question: ServiceQuestion = {
      bodyBytes: security.bodyBytes(check),
      ask: (body, signal) => security.check(check, this.#subject(token), body, signal),
    };
    this.#questions.ask(question, (allowed) => {
      this.#allowed(allowed);
      this.#checkNext(token, checks, index + 1);
    });
  }

  #allowed({ changes, query }: Allowed): void {
    this.#change(changes);
    if (query) this.#view = { ...this.#view, path: withQuery(this.#view.path, query) };
  }

  #authorize(token: AuthorizationSubject['token']): void {
    const { authorization } = this.#config;
    const subject = this.#subject(token);
    const verdict = authorize(authorization, subject);
    this.#context.policyReport.decided(authorization, subject, verdict);
    if (verdict.kind !== 'allow') {
      this.#questions.refuse(accessDenied(verdict.kind === 'no-allow-matched' ? 'none' : verdict.by));
      return;
    }
    this.#host.admitted(this.#view, this.#questions.end(), token);
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
