/**
 * A WebSocket's handshake and what follows it: one try at one endpoint, then bytes both ways until either side ends.
 *
 * Until the endpoint has agreed, a failure is answered like any other request's.
 */
import type { Duplex } from 'node:stream';
import type { RequestHead, ResponseHead } from '@ambit/http/exchange';
import { endpointResult } from '../decide/outlier.ts';
import type { Clock } from '@ambit/core/clock';
import { UpstreamError } from '../upstream/errors.ts';
import { type HandshakeWaiter, offerWebSocket } from '../upstream/forwarder.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import type { ExchangeContext } from './context.ts';
import type { TriesHost, TriesOptions } from './tries.ts';

export interface UpgradeHost
  extends Pick<TriesHost, 'onTry' | 'onResponse' | 'onResponseData' | 'onResponseEnd' | 'onFailed'> {
  /** The endpoint agreed. The client's end of what is carried now. */
  onSwitched(head: ResponseHead, endpoint: UpstreamEndpoint, upstreamMs: number): Duplex;
  /** It is over, both ways. */
  onCarriedEnd(): void;
}

const NOBODY: ReadonlySet<UpstreamEndpoint> = new Set();

export class Upgrade implements HandshakeWaiter, Disposable {
  readonly #context: ExchangeContext;
  readonly #options: TriesOptions;
  readonly #host: UpgradeHost;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #endpoint: UpstreamEndpoint | undefined;
  #under: Disposable | undefined;
  #localAddress = '';
  #isCounted = false;
  #over = false;

  constructor(context: ExchangeContext, options: TriesOptions, host: UpgradeHost) {
    this.#context = context;
    this.#options = options;
    this.#host = host;
    this.#clock = context.clock;
    this.#startedMs = context.clock.monotonicMs();
  }

  get localAddress(): string {
    return this.#localAddress;
  }

  get count(): number {
    return this.#endpoint ? 1 : 0;
  }

  start(): void {
    const { cluster, hash, address, preferred, client, head } = this.#options;
    if (!cluster.breakers.tryTake('requests')) {
      const error = new UpstreamError('UO', 'overflow', 'too many requests of this destination');
      this.#host.onFailed(error);
      return;
    }
    this.#isCounted = true;
    const { random } = this.#context;
    const picked = preferred ?? cluster.pick({ hash, avoid: NOBODY, random, address });
    if (picked instanceof UpstreamError) {
      this.#host.onFailed(picked);
      return;
    }
    this.#endpoint = picked;
    picked.activeRequests += 1;
    this.#host.onTry(picked);
    this.#under = cluster.duplex(picked, client, {
      onDuplex: (duplex, localAddress) => {
        this.#localAddress = localAddress;
        this.#offer(head, duplex);
      },
      onFailed: (error) => this.#failed(error),
    });
  }

  /** Nothing to give back: the bytes of an answer that refuses are few. */
  credit(): void {}

  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    this.#under?.[Symbol.dispose]();
    if (this.#endpoint) this.#endpoint.activeRequests -= 1;
    if (this.#isCounted) this.#options.cluster.breakers.release('requests');
  }

  /** @internal */
  onSwitched(head: ResponseHead): Duplex {
    const endpoint = this.#endpoint;
    if (!endpoint) throw new Error('nobody was asked');
    endpoint.report('success');
    return this.#host.onSwitched(head, endpoint, this.#elapsedMs);
  }

  /** @internal */
  onRefused(head: ResponseHead): void {
    const endpoint = this.#endpoint;
    if (!endpoint) return;
    endpoint.report(endpointResult(head.status));
    if (this.#options.head.version === '2' && head.status < 300) {
      // To a client of HTTP/2 it would say that the protocol was switched.
      const message = `${endpoint.key} answered ${head.status} instead of switching`;
      this.#host.onFailed(new UpstreamError('UR', 'upgrade_refused', message));
      return;
    }
    this.#host.onResponse(head, false, endpoint, this.#elapsedMs);
  }

  /** @internal */
  onBody(bytes: Buffer): void {
    if (!this.#over) this.#host.onResponseData(bytes);
  }

  /** @internal */
  onBodyEnd(): void {
    if (!this.#over) this.#host.onResponseEnd(undefined);
  }

  /** @internal */
  onFailed(error: Error): void {
    this.#failed(new UpstreamError('UC', 'connection_termination', error.message, { cause: error }));
  }

  /** @internal */
  onClosed(): void {
    if (!this.#over) this.#host.onCarriedEnd();
  }

  #offer(head: RequestHead, duplex: Duplex): void {
    this.#under = offerWebSocket(head, duplex, this);
  }

  #failed(error: UpstreamError): void {
    if (this.#over) return;
    this.#endpoint?.report('local-origin');
    this.#host.onFailed(error);
  }

  get #elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs;
  }
}
