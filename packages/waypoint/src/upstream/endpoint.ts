/**
 * One endpoint of a destination: where it is, who must answer there, how it is doing, and the connections to it.
 *
 * It lives as long as mesh state knows it at the same address and port; what else changes about it is taken over in place.
 */
import { type Endpoint as Address, formatHostPort } from '@ambit/core/ip';
import type { Locality, Workload } from '@ambit/model/workload';
import type { BalancedEndpoint } from '../decide/balance/balancer.ts';
import type { ConnectionView } from '../decide/request-view.ts';
import type { EndpointResult } from '../decide/outlier.ts';
import type { HttpPool, HttpVersion } from './http-pool.ts';

/** What mesh state says of an endpoint now. */
export interface EndpointFacts {
  /** `undefined`: an address of nobody that we know. */
  readonly workload: Workload | undefined;
  /** The application's own address and port. */
  readonly to: Address;
  /** Through a tunnel to its node, or in clear. */
  readonly tunnelled: boolean;
  /** Identities of which it must prove one; none in clear. */
  readonly identities: readonly string[];
  readonly weight: number;
}

/** The destination that it belongs to. */
export interface EndpointOwner {
  /** Each connection is told whom it is for, so that clients do not share any. */
  readonly tellsClient: boolean;
  makePool(endpoint: UpstreamEndpoint, version: HttpVersion, client: ConnectionView | undefined): HttpPool;
  report(endpoint: UpstreamEndpoint, result: EndpointResult): void;
}

/** One for each version of HTTP. */
const KEPT_POOLS = 2;

const NOWHERE: Locality = { region: '', zone: '', subzone: '' };

export class UpstreamEndpoint implements BalancedEndpoint, Disposable {
  /** `ip:port`. */
  readonly key: string;
  readonly sinceMs: number;
  #facts: EndpointFacts;
  /** By version, and by client where connections are not shared among clients. */
  readonly #pools = new Map<string, HttpPool>();
  readonly #owner: EndpointOwner;
  #hasLeft = false;
  /** @internal Tries under way. */
  activeRequests = 0;
  /** @internal Set by outlier detection and health checks. */
  ejected = false;
  /** @internal */
  failedChecks = false;

  constructor(facts: EndpointFacts, sinceMs: number, owner: EndpointOwner) {
    this.key = formatHostPort(facts.to.ip, facts.to.port);
    this.#facts = facts;
    this.sinceMs = sinceMs;
    this.#owner = owner;
  }

  get facts(): EndpointFacts {
    return this.#facts;
  }

  /** Newer facts about the same endpoint. */
  set facts(facts: EndpointFacts) {
    this.#facts = facts;
  }

  get weight(): number {
    return this.#facts.weight;
  }

  get locality(): Locality {
    return this.#facts.workload?.locality ?? NOWHERE;
  }

  get uid(): string {
    return this.#facts.workload?.uid ?? '';
  }

  get network(): string {
    return this.#facts.workload?.network ?? '';
  }

  get node(): string {
    return this.#facts.workload?.node ?? '';
  }

  get clusterId(): string {
    return this.#facts.workload?.clusterId ?? '';
  }

  get isUnused(): boolean {
    return this.activeRequests === 0 && this.#pools.values().every(({ isEmpty }) => isEmpty);
  }

  get isHealthy(): boolean {
    return !this.ejected && !this.failedChecks;
  }

  /** @param client - Whose requests they are, for endpoints that are told so once for each connection. */
  http(version: HttpVersion, client?: ConnectionView): HttpPool {
    const own = this.#owner.tellsClient ? client : undefined;
    const key = own
      ? `${version} ${own.sourceIp} ${formatHostPort(own.destination.ip, own.destination.port)}`
      : version;
    return this.#pool(key, version, own);
  }

  #pool(key: string, version: HttpVersion, client: ConnectionView | undefined): HttpPool {
    const known = this.#pools.get(key);
    if (known) return known;
    const made = this.#owner.makePool(this, version, client);
    if (this.#hasLeft) made.retire();
    else this.#pools.set(key, made);
    return made;
  }

  /** How a request or a connection to it went. */
  report(result: EndpointResult): void {
    this.#owner.report(this, result);
  }

  /** Forgets pools that nothing is left of. */
  dropEmptyPools(): void {
    if (this.#pools.size <= KEPT_POOLS) return;
    for (const [key, pool] of this.#pools) if (pool.isEmpty) this.#pools.delete(key);
  }

  pools(): Iterable<HttpPool> {
    return this.#pools.values();
  }

  /** Its connections end with what is under way on them; the next request makes others. */
  renewConnections(): void {
    const before = [...this.#pools];
    this.#pools.clear();
    for (const [key, pool] of before) {
      const { version, client } = pool;
      pool.retire(() => this.#pool(key, version, client));
    }
  }

  /** Mesh state knows it no more: its connections end with what is under way, and who waits for one goes elsewhere. */
  leave(): void {
    this.#hasLeft = true;
    for (const pool of this.#pools.values()) pool.retire();
    this.#pools.clear();
  }

  /** Cuts its connections; who has it still in hand gets no further ones, which nobody would close. */
  [Symbol.dispose](): void {
    this.#hasLeft = true;
    for (const pool of this.#pools.values()) pool[Symbol.dispose]();
    this.#pools.clear();
  }
}

/** The same for as long as connections to it may be kept: address, port, and how it is reached. */
export function endpointKey({ to, tunnelled, identities }: EndpointFacts): string {
  const address = formatHostPort(to.ip, to.port);
  return tunnelled ? `${address} ${identities.join(' ')}` : address;
}
