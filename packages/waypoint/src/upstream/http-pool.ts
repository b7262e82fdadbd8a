/**
 * HTTP connections to one endpoint, in one version of HTTP, and the requests that wait for one.
 *
 * A connection that is free is used again, the last one first, so that those that nobody needs become idle and close. A new
 * one is made when more requests wait than are being connected for. Whoever gets a connection sends its request within the
 * call, or leaves the connection to the next.
 */
import type { Clock } from '@ambit/core/clock';
import type { HttpClientConnection, HttpClientHandler } from '@ambit/http/exchange';
import type { ConnectionView } from '../decide/request-view.ts';
import type { Breakers } from './breakers.ts';
import { UpstreamError } from './errors.ts';

export type HttpVersion = '1.1' | '2';

export interface PoolWaiter {
  /** Send the request now. */
  onConnection(connection: HttpClientConnection): void;
  onFailed(error: UpstreamError): void;
}

export interface ConnectWaiter {
  onConnected(connect: (handler: HttpClientHandler) => HttpClientConnection): void;
  onFailed(error: UpstreamError): void;
}

export interface HttpPoolOptions {
  readonly version: HttpVersion;
  /** Whose connections these are, where clients share none. */
  readonly client: ConnectionView | undefined;
  /** Makes a connection; disposing of what is returned gives it up. */
  readonly connect: (waiter: ConnectWaiter) => Disposable;
  readonly breakers: Breakers;
  readonly clock: Clock;
  /** Requests on one connection of HTTP/2 at a time, if the endpoint allows as many. */
  readonly maxStreams: number;
  /** Then a connection is not used again. 0: no limit. */
  readonly maxRequestsPerConnection: number;
  readonly idleTimeoutMs: number;
  /** Then a connection is not used again. 0: no limit. */
  readonly maxConnectionDurationMs: number;
}

interface Pooled {
  readonly connection: HttpClientConnection;
  readonly bornMs: number;
  lastUsedMs: number;
  requests: number;
  /** In the list of those that are free. */
  isFree: boolean;
}

export class HttpPool implements Disposable {
  readonly #options: HttpPoolOptions;
  readonly #connections = new Set<Pooled>();
  /** Those that may take a request, the last one that became free at the end. */
  readonly #free: Pooled[] = [];
  readonly #connecting = new Set<Disposable>();
  /** Who waits, and what ends the wait: here, or at the pool that took over. */
  readonly #waiting = new Map<PoolWaiter, Wait>();
  #retired = false;

  constructor(options: HttpPoolOptions) {
    this.#options = options;
  }

  get version(): HttpVersion {
    return this.#options.version;
  }

  get client(): ConnectionView | undefined {
    return this.#options.client;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Nothing is open, being made, or waited for. */
  get isEmpty(): boolean {
    return this.#connections.size === 0 && this.#connecting.size === 0 && this.#waiting.size === 0;
  }

  /** Gives `waiter` a connection, at once or later; disposing of what is returned ends its wait. */
  acquire(waiter: PoolWaiter): Disposable | undefined {
    const free = this.#take();
    if (free) {
      waiter.onConnection(free.connection);
      this.#used(free);
      return undefined;
    }
    const { breakers } = this.#options;
    if (this.#retired) {
      waiter.onFailed(gone());
      return undefined;
    }
    if (!breakers.tryTake('pendingRequests')) {
      waiter.onFailed(new UpstreamError('UO', 'overflow', 'too many requests wait for a connection'));
      return undefined;
    }
    const wait = new Wait(() => this.#leave(waiter));
    this.#waiting.set(waiter, wait);
    this.#grow();
    return wait;
  }

  /**
   * No new requests: what is under way may end, then the connections close.
   *
   * @param next - Where those wait on who wait for a connection; without it they must go elsewhere.
   */
  retire(next?: () => HttpPool): void {
    const waiting = next ? [...this.#waiting] : [];
    for (const [waiter] of waiting) this.#leave(waiter);
    this.#stop();
    for (const { connection } of [...this.#connections]) connection.drain();
    for (const [waiter, wait] of waiting) {
      const further = next?.().acquire(waiter);
      wait.continueAs(() => further?.[Symbol.dispose]());
    }
  }

  /** Closes what has been free for too long. */
  sweep(): void {
    const { clock, idleTimeoutMs } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const pooled of [...this.#connections]) {
      const isIdle = pooled.connection.openExchanges === 0 && nowMs - pooled.lastUsedMs >= idleTimeoutMs;
      if (isIdle || this.#isSpent(pooled, nowMs)) pooled.connection.drain();
    }
  }

  /** Cuts everything. */
  [Symbol.dispose](): void {
    this.#stop();
    for (const { connection } of [...this.#connections]) connection.destroy();
  }

  #stop(): void {
    this.#retired = true;
    for (const connecting of [...this.#connecting]) connecting[Symbol.dispose]();
    this.#connecting.clear();
    for (const waiter of [...this.#waiting.keys()]) this.#fail(waiter, gone());
  }

  #take(): Pooled | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    for (let pooled = this.#free.at(-1); pooled; pooled = this.#free.at(-1)) {
      if (this.#canUse(pooled) && !this.#isSpent(pooled, nowMs)) {
        pooled.lastUsedMs = nowMs;
        return pooled;
      }
      this.#free.pop();
      pooled.isFree = false;
      if (this.#isSpent(pooled, nowMs)) pooled.connection.drain();
    }
    return undefined;
  }

  #canUse({ connection }: Pooled): boolean {
    const { maxStreams } = this.#options;
    return connection.canRequest && connection.openExchanges < Math.min(maxStreams, connection.maxExchanges);
  }

  #isSpent({ requests, bornMs }: Pooled, nowMs: number): boolean {
    const { maxRequestsPerConnection, maxConnectionDurationMs } = this.#options;
    return (
      (maxRequestsPerConnection > 0 && requests >= maxRequestsPerConnection) ||
      (maxConnectionDurationMs > 0 && nowMs - bornMs >= maxConnectionDurationMs)
    );
  }

  /** Its request is on the connection. */
  #used(pooled: Pooled): void {
    pooled.requests += 1;
    if (this.#isSpent(pooled, pooled.lastUsedMs)) pooled.connection.drain();
  }

  /** Makes as many connections as requests wait that none is being made for. */
  #grow(): void {
    const { version, breakers, maxStreams } = this.#options;
    const perConnection = version === '2' ? maxStreams : 1;
    while (!this.#retired && this.#waiting.size > this.#connecting.size * perConnection) {
      const isFirst = this.#connections.size === 0 && this.#connecting.size === 0;
      if (isFirst) breakers.take('connections');
      else if (!breakers.tryTake('connections')) return;
      this.#connect();
    }
  }

  #connect(): void {
    const { connect, breakers } = this.#options;
    let settled = false;
    let attempt: Disposable | undefined;
    const settle = () => {
      settled = true;
      if (attempt) this.#connecting.delete(attempt);
    };
    const made = connect({
      onConnected: (open) => {
        settle();
        this.#open(open);
      },
      onFailed: (error) => {
        settle();
        breakers.release('connections');
        this.#failed(error);
      },
    });
    attempt = {
      [Symbol.dispose]: () => {
        made[Symbol.dispose]();
        breakers.release('connections');
      },
    };
    if (!settled) this.#connecting.add(attempt);
  }

  #open(open: (handler: HttpClientHandler) => HttpClientConnection): void {
    const { clock, breakers } = this.#options;
    const nowMs = clock.monotonicMs();
    const connection = open({
      onChange: () => this.#changed(pooled),
      onClosed: () => {
        breakers.release('connections');
        this.#connections.delete(pooled);
        this.#dropFree(pooled);
        this.#grow();
      },
    });
    const pooled: Pooled = { connection, bornMs: nowMs, lastUsedMs: nowMs, requests: 0, isFree: false };
    this.#connections.add(pooled);
    this.#changed(pooled);
  }

  #changed(pooled: Pooled): void {
    if (!this.#connections.has(pooled)) return;
    if (!this.#canUse(pooled)) {
      if (pooled.connection.isClosing) {
        this.#dropFree(pooled);
        this.#grow();
      }
      return;
    }
    if (!pooled.isFree) {
      pooled.isFree = true;
      pooled.lastUsedMs = this.#options.clock.monotonicMs();
      this.#free.push(pooled);
    }
    this.#serve();
  }

  #serve(): void {
    for (const waiter of this.#waiting.keys()) {
      const free = this.#take();
      if (!free) return;
      this.#leave(waiter);
      waiter.onConnection(free.connection);
      this.#used(free);
    }
  }

  /** One attempt came to nothing: whoever waited longest bears it. All do, when nothing else is left to wait for. */
  #failed(error: UpstreamError): void {
    const isHopeless = this.#connections.size === 0 && this.#connecting.size === 0;
    const [first] = this.#waiting.keys();
    if (first && (!isHopeless || this.#options.version === '1.1')) this.#fail(first, error);
    else for (const waiter of [...this.#waiting.keys()]) this.#fail(waiter, error);
    this.#grow();
  }

  #fail(waiter: PoolWaiter, error: UpstreamError): void {
    this.#leave(waiter);
    waiter.onFailed(error);
  }

  #leave(waiter: PoolWaiter): void {
    if (this.#waiting.delete(waiter)) this.#options.breakers.release('pendingRequests');
  }

  #dropFree(pooled: Pooled): void {
    if (!pooled.isFree) return;
    pooled.isFree = false;
    const at = this.#free.indexOf(pooled);
    if (at >= 0) this.#free.splice(at, 1);
  }
}

/** One wait for a connection; disposing of it ends it, wherever it goes on. */
class Wait implements Disposable {
  #leave: () => void;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  continueAs(leave: () => void): void {
    this.#leave = leave;
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}

function gone(): UpstreamError {
  return new UpstreamError('UF', 'endpoint_gone', 'the endpoint is gone', { retryable: true });
}
