/**
 * Whether a request may go where its route leads: the services that filters of the route name are asked about it, one after
 * the other, as gate.ts asks those of CUSTOM policies.
 *
 * The question goes out with the waypoint's identity and somebody else chose where to, so policies of the service that is
 * asked count as those of a backend do.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import type { RequestView } from '../decide/request-view.ts';
import { questionView, withAnswer } from '../decide/route-authorizer.ts';
import type { Lead, RouteAuthorizer } from '../decide/route-decision.ts';
import type { ExchangeContext } from './context.ts';
import { Questions, type QuestionsHost, type ServiceQuestion } from './questions.ts';
import { accessDenied, noAuthorizer } from './refusal.ts';

export interface RouteGateHost extends QuestionsHost {
  /** @param view - The request, with what services changed of it. @param responseFields - For the client. */
  routeAdmitted(view: RequestView, responseFields: HeaderFields): void;
  /** The policy that keeps a question from the service; `undefined`: none does. */
  keptFromLead(lead: Lead, led: AuthorizationSubject): string | undefined;
}

export class RouteGate implements Disposable {
  readonly #context: ExchangeContext;
  readonly #authorizers: readonly RouteAuthorizer[];
  readonly #subject: AuthorizationSubject;
  readonly #host: RouteGateHost;
  readonly #questions: Questions;
  #view: RequestView;

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
    this.#questions = new Questions(context, host);
  }

  start(): void {
    this.#askNext(0);
  }

  /** Nobody wants to know any more. */
  [Symbol.dispose](): void {
    this.#questions[Symbol.dispose]();
  }

  #askNext(index: number): void {
    const asked = this.#authorizers[index];
    if (!asked) {
      this.#host.routeAdmitted(this.#view, this.#questions.end());
      return;
    }
    if (asked.kind === 'status') {
      this.#questions.refuse(noAuthorizer(asked.status));
      return;
    }
    const { authorizer, backend } = asked;
    const by = this.#host.keptFromLead(asked, {
      ...this.#subject,
      request: questionView(asked, this.#view),
    });
    if (by !== undefined) {
      this.#questions.refuse(accessDenied(by));
      return;
    }
    const { security } = this.#context;
    const subject = { ...this.#subject, request: this.#view };
    const question: ServiceQuestion = {
      bodyBytes: authorizer.maxRequestBytes,
      ask: (body, signal) => security.ask(backend.to.service, authorizer, subject, body, signal),
    };
    this.#questions.ask(question, (allowed) => {
      this.#view = withAnswer(asked, this.#view, allowed);
      this.#askNext(index + 1);
    });
  }
}
