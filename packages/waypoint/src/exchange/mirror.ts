/**
 * A copy of a request for another service: sent beside the request, its answer read and dropped, its failure nobody's.
 *
 * A mirror that does not keep up with the body is given up rather than waited for.
 */
import type { Timer } from '@ambit/core/clock';
import type { RequestHead, ResponseHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { Holder } from '@ambit/hbone/queue-budget';
import type { BackendService } from '../decide/route-decision.ts';
import type { SentRequest } from '../telemetry/record.ts';
import { MIRROR_HELD_BYTES, MIRROR_TIMEOUT_MS, MIRRORS_AT_A_TIME } from '../limits.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { ExchangeContext } from './context.ts';
import type { Downstream } from './downstream.ts';
import { RequestBody } from './request-body.ts';
import { Tries, type TriesHost } from './tries.ts';
import { NOWHERE } from '@ambit/http/roster';

/** Envoy's: so that who gets copies can tell. */
const SUFFIX = '-shadow';

export interface MirroredRequest {
  readonly head: RequestHead;
  readonly sent: SentRequest;
  readonly timeoutMs: number | undefined;
}

/** `undefined`: too many copies are on their way already, or there is nowhere to send one. */
export function startMirror(
  context: ExchangeContext,
  downstream: Downstream,
  backend: BackendService,
  request: MirroredRequest,
): Mirror | undefined {
  const { identity } = downstream.connection;
  const cluster = context.upstreams.clusterFor(backend, () => request.sent.authority, identity);
  if (cluster instanceof UpstreamError) return undefined;
  return cluster.mirrors < MIRRORS_AT_A_TIME ? new Mirror(context, downstream, cluster, request) : undefined;
}

export class Mirror implements TriesHost, Holder {
  /** @internal */
  budgetPlace = NOWHERE;
  readonly #context: ExchangeContext;
  readonly #cluster: Cluster;
  readonly #body: RequestBody;
  readonly #tries: Tries;
  readonly #timer: Timer;
  #heldBytes = 0;
  #over = false;

  /** Begins at once. */
  constructor(
    context: ExchangeContext,
    downstream: Downstream,
    cluster: Cluster,
    { head, sent, timeoutMs }: MirroredRequest,
  ) {
    this.#context = context;
    this.#cluster = cluster;
    cluster.mirrors += 1;
    this.#timer = context.clock.after(timeoutMs ?? MIRROR_TIMEOUT_MS, () => this.#end());
    this.#body = new RequestBody({ credit: () => this.#countHeld() }, 0);
    this.#tries = new Tries(
      context,
      {
        decision: { retry: NO_RETRY, hedgeAfterMs: undefined, timeouts: { perTryMs: undefined } },
        cluster,
        client: downstream.connection,
        address: downstream.destination.address,
        head: { ...head, authority: shadowed(sent.authority), fields: sent.fields },
        body: this.#body,
        hash: undefined,
        preferred: undefined,
      },
      this,
    );
    this.#tries.start();
  }

  /** What the client sent as well. */
  onRequestData(bytes: Buffer): void {
    if (this.#over) return;
    this.#body.push(bytes);
    this.#countHeld();
    if (this.#heldBytes > MIRROR_HELD_BYTES) this.#end();
  }

  /** What {@link Holder} counts. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** @internal Memory is short. */
  evict(): void {
    this.#end();
  }

  onRequestEnd(trailers: HeaderFields | undefined): void {
    if (!this.#over) this.#body.end(trailers);
  }

  /** The client went away before its request was whole. */
  giveUp(): void {
    this.#end();
  }

  onTry(): void {}
  onSending(): void {}
  onInformational(): void {}
  onResponse(_head: ResponseHead, _endsHere: boolean): void {}

  onResponseData(bytes: Buffer): void {
    this.#tries.credit(bytes.length);
  }

  onResponseEnd(): void {
    this.#end();
  }

  onNotTriedAgain(): void {}

  /** @internal */
  onFailed(): void {
    this.#end();
  }

  onFault(error: unknown): void {
    this.#context.faults.tell('a copy of a request failed', error);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#cluster.mirrors -= 1;
    this.#tries[Symbol.dispose]();
    this.#body.discard();
    this.#countHeld();
  }

  #countHeld(): void {
    const change = this.#body.heldBytes - this.#heldBytes;
    this.#heldBytes += change;
    if (change > 0) this.#context.budget.add(this, change);
    else if (change < 0) this.#context.budget.remove(this, -change);
  }
}

/** Before the port, if there is one. */
function shadowed(authority: string): string {
  const port = /:[0-9]{1,5}$/.exec(authority);
  return port ? `${authority.slice(0, port.index)}${SUFFIX}${port[0]}` : `${authority}${SUFFIX}`;
}

const NO_RETRY = {
  attempts: 0,
  retryOn: new Set<never>(),
  statusCodes: new Set<number>(),
  perTryTimeoutMs: undefined,
  backoffMs: 25,
  backoffIsLeast: false,
  otherLocalities: false,
  ignorePreviousHosts: false,
  budgetPercent: 0,
  budgetMinPerSecond: 0,
};
