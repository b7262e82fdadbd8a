/**
 * Whether a request may go where its route leads: the services that filters of the route name are asked about it, one after
 * the other, as gate.ts asks those of CUSTOM policies. Whatever goes wrong while asking is a refusal.
 *
 * The question goes out with the waypoint's identity and somebody else chose where to, so policies of the service that is
 * asked count as those of a backend do.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import type { RequestView } from '../decide/request-view.ts';
import { questionView, withAnswer } from '../decide/route-authorizer.ts';
import type { Lead, RouteAuthorizer } from '../decide/route-decision.ts';
import { withQuery } from '../security/change-query.ts';
import type { ExternalVerdict, KeptBody } from '../security/external.ts';
import type { ExchangeContext } from './context.ts';
import type { GateHost } from './gate.ts';
import { accessDenied, INTERNAL_ERROR, type Refusal, TOO_LARGE } from './refusal.ts';

export interface RouteGateHost extends Pick<GateHost, 'keepBody' | 'refused' | 'resume' | 'told' | 'denied'> {
  /** @param view - The request, with what services changed of it. @param responseFields - For the client. */
  routeAdmitted(view: RequestView, responseFields: HeaderFields): void;
  /** The policy that keeps a question from the service; `undefined`: none does. */
  keptFromLead(lead: Lead, led: AuthorizationSubject): string | undefined;
}

type Asked = RouteAuthorizer & { readonly kind: 'service' };

export class RouteGate implements Disposable {
  readonly #context: ExchangeContext;
  readonly #authorizers: readonly RouteAuthorizer[];
  readonly #subject: AuthorizationSubject;
  readonly #host: RouteGateHost;
  readonly #stop = new AbortController();
  #view: RequestView;
  #responseFields: HeaderFields = [];
  #over = false;

  constructor(
    context: ExchangeContext,
    authorizers: readonly RouteAuthorizer[],
    subject: AuthorizationSubject & { readonly request: RequestView },
    host: RouteGateHost,
  ) {
    this.#context = context;
    this.#authorizers = authorizers;
    this.#subject = subject;
    this.#view = subject.request;
    this.#host = host;
  }

  start(): void {
    this.#askNext(0);
  }

  /** Nobody wants to know any more. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#stop.abort(new Error('the request is over'));
  }

  #askNext(index: number): void {
    const asked = this.#authorizers[index];
    if (!asked) {
      this.#over = true;
      this.#host.routeAdmitted(this.#view, this.#responseFields);
      return;
    }
    if (asked.kind === 'status') {
      this.#refuse({ status: asked.status, text: '', details: 'ext_authz_invalid_backend' });
      return;
    }
    const by = this.#host.keptFromLead(asked, {
      ...this.#subject,
      request: questionView(asked, this.#view),
    });
    if (by !== undefined) {
      this.#refuse(accessDenied(by));
      return;
    }
    const goOn = (body: KeptBody | undefined) => {
      if (!this.#over) void this.#ask(asked, body, index);
    };
    const { maxRequestBytes } = asked.authorizer;
    if (maxRequestBytes === 0) goOn(undefined);
    else this.#host.keepBody(maxRequestBytes, goOn);
  }

  async #ask(asked: Asked, body: KeptBody | undefined, index: number): Promise<void> {
    const { security, faults } = this.#context;
    const { authorizer, backend } = asked;
    const subject = { ...this.#subject, request: this.#view };
    try {
      const verdict = await security.ask(backend.to.service, authorizer, subject, body, this.#stop.signal);
      if (!this.#over) this.#host.resume(() => this.#answered(asked, verdict, index));
    } catch (error) {
      if (this.#over) return;
      faults.tell('external authorization of a route failed', error);
      this.#refuse(INTERNAL_ERROR);
    }
  }

  #answered(asked: Asked, verdict: ExternalVerdict, index: number): void {
    if (verdict.kind === 'too-large') {
      this.#refuse(TOO_LARGE);
      return;
    }
    if (verdict.metadata) this.#host.told(verdict.metadata);
    if (verdict.kind === 'deny') {
      const { status, fields, body, failed } = verdict;
      this.#over = true;
      this.#host.denied({ status, fields }, body, failed);
      return;
    }
    const view = withAnswer(asked, this.#view, verdict.changes);
    this.#view = verdict.query ? { ...view, path: withQuery(view.path, verdict.query) } : view;
    this.#responseFields = [...this.#responseFields, ...verdict.responseFields];
    this.#askNext(index + 1);
  }

  #refuse(refusal: Refusal): void {
    this.#over = true;
    this.#host.refused({ flag: 'UAEX', ...refusal });
  }
}
