/**
 * The tries of one request: an endpoint for each, another after a failure that the policy retries, up to an answer.
 *
 * The first answer that is not retried is the request's. Where a route says so, a try without an answer for a while gets a
 * second one beside it, at an endpoint that was not tried yet, and the first good answer of both counts. Circuit breakers
 * count the request from its first try on, and the retries of it.
 *
 * A fault of ours in what comes later than `start` ends this request: uncaught it would end the process.
 */
import type { Timer } from '@ambit/core/clock';
import type { Endpoint as Address } from '@ambit/core/ip';
import type { RequestHead, ResponseHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { ConnectionView } from '../decide/request-view.ts';
import { type AttemptOutcome, mayHedge, type RetryLoad } from '../decide/retry.ts';
import type { Forward, Timeouts } from '../decide/route-decision.ts';
import { isGrpc } from '../grpc.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { upstreamVersion } from '../upstream/settings.ts';
import { Attempt, type AttemptHost } from './attempt.ts';
import type { ExchangeContext } from './context.ts';
import type { ResponseFlag } from './flags.ts';
import type { RequestBody } from './request-body.ts';

export interface TriesHost {
  /** A try begins. */
  onTry(endpoint: UpstreamEndpoint): void;
  /** The head is on a connection: the client may be asked for the body now. */
  onSending(): void;
  onInformational(head: ResponseHead): void;
  /** The answer that counts begins. */
  onResponse(head: ResponseHead, endsHere: boolean, endpoint: UpstreamEndpoint, upstreamMs: number): void;
  onResponseData(bytes: Buffer): void;
  /** The answer is whole. */
  onResponseEnd(trailers: HeaderFields | undefined): void;
  /** What comes now would have been tried again, and may not. */
  onNotTriedAgain(flag: ResponseFlag): void;
  /** No answer, or not the whole of one. */
  onFailed(error: UpstreamError): void;
  /** Something here is wrong: nothing more will come. */
  onFault(error: unknown): void;
}

export interface TriesOptions {
  readonly decision: Pick<Forward, 'retry' | 'hedgeAfterMs'> & {
    readonly timeouts: Pick<Timeouts, 'perTryMs'>;
  };
  readonly cluster: Cluster;
  readonly client: ConnectionView;
  readonly address: Address;
  /** As it is to be sent, its version as the client's. */
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly hash: number | undefined;
  /** Where the request goes first, if that may be used. */
  readonly preferred: UpstreamEndpoint | undefined;
}

/** One may be replaced while it is connected to; several in a row would be chance. */
const MAX_GONE_ENDPOINTS = 5;

const NOBODY: ReadonlySet<UpstreamEndpoint> = new Set();
/** Shared by requests that were not tried yet. */
const NONE: readonly UpstreamEndpoint[] = [];

export class Tries implements AttemptHost, Disposable {
  readonly #context: ExchangeContext;
  readonly #options: TriesOptions;
  readonly #host: TriesHost;
  /** That were chosen for this request so far; hardly ever more than one. */
  #tried = NONE;
  #attempt: Attempt | undefined;
  /** A second one under way beside it. */
  #beside: Attempt | undefined;
  #hedging: Timer | undefined;
  #count = 0;
  #backoff: Timer | undefined;
  /** Endpoints that left before they were connected. */
  #gone = 0;
  #isCounted = false;
  #isRetry = false;
  #hasAnswer = false;
  #over = false;

  constructor(context: ExchangeContext, options: TriesOptions, host: TriesHost) {
    this.#context = context;
    this.#options = options;
    this.#host = host;
  }

  /** So far. */
  get count(): number {
    return this.#count;
  }

  /** Our end of the connection of the last one, or of the one that was answered; empty without one. */
  get localAddress(): string {
    return this.#attempt?.localAddress ?? '';
  }

  start(): void {
    const { breakers } = this.#options.cluster;
    if (!breakers.tryTake('requests')) {
      this.#fail(new UpstreamError('UO', 'overflow', 'too many requests of this destination'));
      return;
    }
    this.#isCounted = true;
    this.#try();
  }

  /** As many bytes of the answer are through. */
  credit(bytes: number): void {
    this.#attempt?.credit(bytes);
  }

  /** The result is not wanted any more, or is whole. */
  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    this.#backoff?.cancel();
    this.#hedging?.cancel();
    this.#attempt?.giveUp();
    this.#beside?.giveUp();
    const { breakers } = this.#options.cluster;
    if (this.#isCounted) breakers.release('requests');
    if (this.#isRetry) breakers.release('retries');
  }

  #try(): void {
    const { cluster, decision, hash, address, preferred } = this.#options;
    const { clock, random } = this.#context;
    const avoid = decision.retry.ignorePreviousHosts && this.#count > 0 ? new Set(this.#tried) : NOBODY;
    const picked =
      this.#count === 0 && preferred ? preferred : cluster.pick({ hash, avoid, random, address });
    if (picked instanceof UpstreamError) {
      this.#fail(picked);
      return;
    }
    const attempt = this.#attemptAt(picked);
    this.#attempt = attempt;
    const { hedgeAfterMs } = decision;
    if (hedgeAfterMs !== undefined && this.#count === 1)
      this.#hedging ??= clock.after(hedgeAfterMs, () => this.#step(() => this.#hedge()));
    attempt.start();
  }

  #attemptAt(endpoint: UpstreamEndpoint): Attempt {
    const { cluster, head, body, client, decision } = this.#options;
    const { clock } = this.#context;
    this.#count += 1;
    this.#tried = [...this.#tried, endpoint];
    this.#host.onTry(endpoint);
    const version = upstreamVersion(cluster.appProtocol, cluster.destination, {
      version: head.version,
      isGrpc: isGrpc(head.fields),
    });
    const { perTryMs } = decision.timeouts;
    return new Attempt({ host: this, endpoint, version, client, head, body, clock, perTryMs });
  }

  /** Does what moves the request on, after a wait or an event of an endpoint. */
  #step(act: () => void): void {
    if (this.#over) return;
    try {
      act();
    } catch (error) {
      this.#host.onFault(error);
    }
  }

  /** There is no answer yet, and no failure: another endpoint may be quicker. */
  #hedge(): void {
    const first = this.#attempt;
    if (this.#hasAnswer || !first || first.isOver) return;
    const { cluster, decision, head, address } = this.#options;
    const { breakers } = cluster;
    const { clock, random } = this.#context;
    const nowMs = clock.monotonicMs();
    if (!mayHedge(decision.retry, head, this.#load(nowMs), cluster.destination.retryBudget)) return;
    // Who is bound to one endpoint by a hash is sent to another for once.
    const picked = cluster.pick({ hash: undefined, avoid: new Set(this.#tried), random, address });
    if (picked instanceof UpstreamError || this.#tried.includes(picked)) return;
    if (!this.#isRetry && !breakers.tryTake('retries')) return;
    this.#isRetry = true;
    breakers.countRetry(nowMs);
    this.#beside = this.#attemptAt(picked);
    this.#beside.start();
  }

  /** Whether another try is under way, which is the only one from now on. */
  #leaveToOther(lost: Attempt): boolean {
    const other = lost === this.#attempt ? this.#beside : this.#attempt;
    if (!this.#beside || !other || this.#hasAnswer) return false;
    this.#attempt = other;
    this.#beside = undefined;
    return true;
  }

  /** The answer is this one's: nobody waits for the other. */
  #choose(attempt: Attempt): void {
    if (!this.#beside) return;
    const other = attempt === this.#attempt ? this.#beside : this.#attempt;
    this.#attempt = attempt;
    this.#beside = undefined;
    other?.giveUp();
    this.#host.onTry(attempt.endpoint);
  }

  /** @internal */
  onAttemptSending(): void {
    this.#host.onSending();
  }

  /** @internal */
  onAttemptFault(error: unknown): void {
    this.#host.onFault(error);
  }

  /** @internal */
  onAttemptInformational(head: ResponseHead): void {
    this.#host.onInformational(head);
  }

  /** @internal */
  onAttemptResponse(attempt: Attempt, head: ResponseHead, endsHere: boolean): void {
    this.#step(() => this.#answered(attempt, head, endsHere));
  }

  #answered(attempt: Attempt, head: ResponseHead, endsHere: boolean): void {
    const { status, fields } = head;
    const isGood = status < 400 && !isGrpc(fields);
    if (status >= 500 && this.#leaveToOther(attempt)) {
      attempt.drop();
      return;
    }
    this.#choose(attempt);
    if (!isGood && this.#triesAgain({ kind: 'response', status, fields })) {
      attempt.drop();
      return;
    }
    this.#hasAnswer = true;
    this.#host.onResponse(head, endsHere, attempt.endpoint, attempt.upstreamMs ?? 0);
  }

  /** @internal */
  onAttemptData(_attempt: Attempt, bytes: Buffer): void {
    this.#host.onResponseData(bytes);
  }

  /** @internal */
  onAttemptEnd(_attempt: Attempt, trailers: HeaderFields | undefined): void {
    this.#host.onResponseEnd(trailers);
  }

  /** @internal */
  onAttemptFailed(attempt: Attempt, outcome: AttemptOutcome, error: UpstreamError): void {
    this.#step(() => this.#failed(attempt, outcome, error));
  }

  #failed(attempt: Attempt, outcome: AttemptOutcome, error: UpstreamError): void {
    if (this.#leaveToOther(attempt)) return;
    if (error.reason === 'endpoint_gone' && this.#gone < MAX_GONE_ENDPOINTS) {
      // Nothing was sent, and nothing failed: it is chosen again, among those that there are.
      this.#gone += 1;
      this.#count -= 1;
      this.#try();
      return;
    }
    const isFinal = this.#hasAnswer || error.flag === 'UO' || !this.#triesAgain(outcome);
    if (isFinal) this.#fail(error);
  }

  /** Whether another try was decided on; it begins after its wait. */
  #triesAgain(outcome: AttemptOutcome): boolean {
    const { cluster, decision, head, body } = this.#options;
    const { decisions, random, clock } = this.#context;
    const { breakers } = cluster;
    if (decision.retry.attempts === 0) return false;
    const nowMs = clock.monotonicMs();
    const decided = decisions.decideRetry(
      decision.retry,
      { method: head.method, tries: this.#count, outcome, bodyLost: body.isLost },
      this.#load(nowMs),
      cluster.destination.retryBudget,
      random,
    );
    if (decided.kind === 'give-up') {
      if (decided.reason === 'no-attempts-left') this.#host.onNotTriedAgain('URX');
      if (decided.reason === 'over-budget') {
        cluster.counts.retriesOverBudget += 1;
        this.#host.onNotTriedAgain('UO');
      }
      return false;
    }
    if (!this.#isRetry && !breakers.tryTake('retries')) {
      this.#host.onNotTriedAgain('UO');
      return false;
    }
    this.#isRetry = true;
    breakers.countRetry(nowMs);
    this.#backoff = clock.after(decided.backoffMs, () => this.#step(() => this.#try()));
    return true;
  }

  #load(nowMs: number): RetryLoad {
    const { breakers } = this.#options.cluster;
    return {
      activeRequests: breakers.used('requests'),
      activeRetries: breakers.used('retries') - (this.#isRetry ? 1 : 0),
      retriesLastSecond: breakers.retriesLastSecond(nowMs),
    };
  }

  #fail(error: UpstreamError): void {
    this.#host.onFailed(error);
  }
}
