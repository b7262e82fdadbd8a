/**
 * What a request waits to be told of it, one answer at a time: of its tokens, and of services that authorize. gate.ts and
 * route-gate.ts say what is asked, and what an answer changes.
 *
 * Fails closed: whatever goes wrong while asking is a refusal, and once the request is over nothing goes on.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { ResponseHead } from '@ambit/http/exchange';
import type { AuthorizerMetadata, ExternalVerdict, KeptBody } from '../security/external.ts';
import type { ExchangeContext } from './context.ts';
import { INTERNAL_ERROR, type Refusal, TOO_LARGE } from './refusal.ts';

export interface QuestionsHost {
  /** Goes on with the first bytes of the body, at most so many, once they are here. */
  keepBody(bytes: number, goOn: (body: KeptBody) => void): void;
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

/** A service that authorizes says yes. */
export type Allowed = ExternalVerdict & { readonly kind: 'allow' };

export interface ServiceQuestion {
  /** How much of the body goes along, in bytes; 0: nothing. */
  readonly bodyBytes: number;
  ask(body: KeptBody | undefined, signal: AbortSignal): Promise<ExternalVerdict>;
}

export class Questions implements Disposable {
  readonly #context: Pick<ExchangeContext, 'faults'>;
  readonly #host: QuestionsHost;
  /** Made when a service is asked. */
  #stop: AbortController | undefined;
  #responseFields: HeaderFields = [];
  #isWaiting = false;
  #over = false;

  constructor(context: Pick<ExchangeContext, 'faults'>, host: QuestionsHost) {
    this.#context = context;
    this.#host = host;
  }

  /** Nobody wants to know any more. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#stop?.abort(new Error('the request is over'));
  }

  /** Never rejects: whatever goes wrong is told to the host. */
  async answer<T>(what: string, promise: Promise<T>, next: (value: T) => void): Promise<void> {
    try {
      this.#wait();
      const value = await promise;
      if (!this.#over) this.#host.resume(() => next(value));
    } catch (error) {
      if (this.#over) return;
      // As after any wait: a refusal may fail as well, and nobody waits for this promise.
      this.#host.resume(() => {
        this.#context.faults.tell(`${what} of a request failed`, error);
        this.refuse(INTERNAL_ERROR);
      });
    }
  }

  /** Goes on if the service says yes. */
  ask({ bodyBytes, ask }: ServiceQuestion, next: (allowed: Allowed) => void): void {
    const goOn = (body: KeptBody | undefined) => {
      if (this.#over) return;
      this.#stop ??= new AbortController();
      void this.answer('external authorization', ask(body, this.#stop.signal), (verdict) =>
        this.#decide(verdict, next),
      );
    };
    if (bodyBytes === 0) {
      goOn(undefined);
      return;
    }
    this.#wait();
    if (!this.#over) this.#host.keepBody(bodyBytes, goOn);
  }

  refuse(refusal: Refusal): void {
    this.#over = true;
    this.#host.refused(refusal);
  }

  /** The last was answered. @returns Fields for the client, of all services that said yes. */
  end(): HeaderFields {
    this.#over = true;
    return this.#responseFields;
  }

  #decide(verdict: ExternalVerdict, next: (allowed: Allowed) => void): void {
    if (verdict.kind === 'too-large') {
      this.refuse(TOO_LARGE);
      return;
    }
    if (verdict.metadata) this.#host.told(verdict.metadata);
    if (verdict.kind === 'deny') {
      const { status, fields, body, failed } = verdict;
      this.#over = true;
      this.#host.denied({ status, fields }, body, failed);
      return;
    }
    this.#responseFields = [...this.#responseFields, ...verdict.responseFields];
    next(verdict);
  }

  #wait(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#host.waits();
  }
}
