/**
 * One destination: a port of a service, a subset of its endpoints, or a workload, as something to send requests to.
 *
 * Its endpoints follow mesh state, its settings the destination's policy; both are looked at when a request needs them and
 * something has changed. Endpoints that stay keep their connections; those that go end them with what is under way.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { Endpoint as Address } from '@ambit/core/ip';
import type { Names } from '@ambit/core/names';
import type { AppProtocol } from '@ambit/model/service';
import type { MeshChange } from '@ambit/model/store';
import type { Balancer } from '../decide/balance/balancer.ts';
import { CHOSEN_ADDRESSES } from '../limits.ts';
import type { Destination } from '../resources/destination-policy.ts';
import { Breakers } from './breakers.ts';
import type { ClusterSource, ClusterView } from './cluster-source.ts';
import { type EndpointFacts, endpointKey, UpstreamEndpoint } from './endpoint.ts';
import { UpstreamError } from './errors.ts';
import { HttpPool, type HttpPoolOptions, type HttpVersion } from './http-pool.ts';
import { Resolution } from './resolution.ts';
import type { UpstreamSettings } from './settings.ts';

export interface ClusterDeps {
  readonly clock: Clock;
  readonly names: Names;
  readonly destination: () => Destination;
  readonly settings: (destination: Destination) => UpstreamSettings;
  /** Makes the balancer of one tier of endpoints. */
  readonly balance: (
    endpoints: readonly UpstreamEndpoint[],
    destination: Destination,
  ) => Balancer<UpstreamEndpoint>;
  /** How connections to an endpoint are made. */
  readonly connect: (
    endpoint: UpstreamEndpoint,
    version: HttpVersion,
    cluster: Cluster,
  ) => HttpPoolOptions['connect'];
}

export interface ClusterPick {
  readonly hash: number | undefined;
  readonly avoid: ReadonlySet<UpstreamEndpoint>;
  readonly random: Random;
  /** What the client named, for services that leave the choice to it. */
  readonly address: Address;
}

export class Cluster implements Disposable {
  readonly source: ClusterSource;
  readonly breakers: Breakers;
  readonly #deps: ClusterDeps;
  readonly #resolution: Resolution;
  readonly #endpoints = new Map<string, UpstreamEndpoint>();
  /** Pools of endpoints that went, or that were made with other settings, until they are empty. */
  readonly #retired = new Set<HttpPool>();
  #view: ClusterView;
  #tiers: readonly Balancer<UpstreamEndpoint>[] = [];
  #destination: Destination;
  #settings: UpstreamSettings;
  #stale = true;

  constructor(source: ClusterSource, deps: ClusterDeps) {
    this.source = source;
    this.#deps = deps;
    this.#destination = deps.destination();
    this.#settings = deps.settings(this.#destination);
    this.breakers = new Breakers(this.#settings.breakers);
    this.#resolution = new Resolution(deps.names, deps.clock, () => this.invalidate());
    this.#view = source.read(this.#destination, this.#resolution);
  }

  /** Something that it depends on has changed. */
  invalidate(): void {
    this.#stale = true;
  }

  meshChanged(change: MeshChange): void {
    if (this.source.concerns(change)) this.invalidate();
  }

  get settings(): UpstreamSettings {
    return this.#settings;
  }

  get destination(): Destination {
    this.#refresh();
    return this.#destination;
  }

  /** What the destination's port declares to speak. */
  get appProtocol(): AppProtocol | undefined {
    this.#refresh();
    return this.#view.protocol;
  }

  get endpoints(): Iterable<UpstreamEndpoint> {
    this.#refresh();
    return this.#endpoints.values();
  }

  /** Names of endpoints are being resolved, and none is known yet: wait before picking. */
  get pending(): Promise<unknown> | undefined {
    this.#refresh();
    return this.#endpoints.size === 0 ? this.#resolution.pending : undefined;
  }

  pick({ hash, avoid, random, address }: ClusterPick): UpstreamEndpoint | UpstreamError {
    this.#refresh();
    const problem = this.#view.problem ?? this.#policyProblem();
    if (problem) return problem;
    if (this.#view.chosen) return this.#chosen(this.#view.chosen(address));
    const request = { hash, avoid, nowMs: this.#deps.clock.monotonicMs(), random };
    for (const balancer of this.#tiers) {
      const endpoint = balancer.pick(request);
      if (endpoint) return endpoint;
    }
    const message = `no healthy endpoint of ${this.source.name}`;
    return new UpstreamError('UH', 'no_healthy_upstream', message);
  }

  /** Closes connections that are idle or old, and forgets pools that have ended. */
  sweep(): void {
    for (const endpoint of this.#endpoints.values()) for (const pool of endpoint.pools()) pool.sweep();
    for (const pool of this.#retired) {
      pool.sweep();
      if (pool.isEmpty) this.#retired.delete(pool);
    }
  }

  /** Nothing new: connections end with what is under way. */
  retire(): void {
    for (const endpoint of this.#endpoints.values()) this.#renew(endpoint);
    this.#endpoints.clear();
    this.#tiers = [];
    this.#stale = true;
  }

  get isEmpty(): boolean {
    return this.#endpoints.size === 0 && this.#retired.size === 0;
  }

  [Symbol.dispose](): void {
    for (const endpoint of this.#endpoints.values()) endpoint[Symbol.dispose]();
    for (const pool of this.#retired) pool[Symbol.dispose]();
    this.#endpoints.clear();
    this.#retired.clear();
  }

  #refresh(): void {
    if (!this.#stale && !this.#resolution.isOld) return;
    this.#stale = false;
    const { destination, settings, balance } = this.#deps;
    const before = this.#settings;
    this.#destination = destination();
    this.#settings = settings(this.#destination);
    this.breakers.limits = this.#settings.breakers;
    this.#view = this.source.read(this.#destination, this.#resolution);
    if (!this.#view.chosen) this.#adopt(this.#view.tiers.flat());
    if (differs(before, this.#settings)) {
      for (const endpoint of this.#endpoints.values()) this.#renew(endpoint);
    }
    this.#tiers = this.#view.tiers.map((tier) => {
      const endpoints = tier.flatMap((facts) => this.#endpoints.get(endpointKey(facts)) ?? []);
      return balance(endpoints, this.#destination);
    });
  }

  #policyProblem(): UpstreamError | undefined {
    const { unusable, tls } = this.#destination;
    const problem = unusable ?? tls?.unreadable;
    if (problem === undefined) return undefined;
    const message = `${this.source.name} cannot be used: ${problem}`;
    return new UpstreamError('UH', 'no_healthy_upstream', message);
  }

  /** Takes over what is known now: endpoints that stay are the same objects. */
  #adopt(all: readonly EndpointFacts[]): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const present = new Set<string>();
    for (const facts of all) {
      const key = endpointKey(facts);
      present.add(key);
      const known = this.#endpoints.get(key);
      if (known) known.facts = facts;
      else this.#endpoints.set(key, this.#makeEndpoint(facts, nowMs));
    }
    for (const [key, endpoint] of this.#endpoints) {
      if (present.has(key)) continue;
      this.#endpoints.delete(key);
      this.#renew(endpoint);
    }
  }

  #chosen(facts: EndpointFacts): UpstreamEndpoint | UpstreamError {
    const key = endpointKey(facts);
    const known = this.#endpoints.get(key);
    if (known) return known;
    if (this.#endpoints.size >= CHOSEN_ADDRESSES) this.#forgetUnused();
    if (this.#endpoints.size >= CHOSEN_ADDRESSES)
      return new UpstreamError('UO', 'overflow', `too many addresses of ${this.source.name} in use`);
    const made = this.#makeEndpoint(facts, this.#deps.clock.monotonicMs());
    this.#endpoints.set(key, made);
    return made;
  }

  #forgetUnused(): void {
    for (const [key, endpoint] of this.#endpoints) {
      if (endpoint.activeRequests > 0) continue;
      this.#endpoints.delete(key);
      this.#renew(endpoint);
    }
  }

  #makeEndpoint(facts: EndpointFacts, sinceMs: number): UpstreamEndpoint {
    return new UpstreamEndpoint(facts, sinceMs, (endpoint, version) => this.#makePool(endpoint, version));
  }

  #makePool(endpoint: UpstreamEndpoint, version: HttpVersion): HttpPool {
    const { connect, clock } = this.#deps;
    const { maxStreams, maxRequestsPerConnection, idleTimeoutMs, maxConnectionDurationMs } = this.#settings;
    return new HttpPool({
      version,
      connect: connect(endpoint, version, this),
      breakers: this.breakers,
      clock,
      maxStreams,
      maxRequestsPerConnection,
      idleTimeoutMs,
      maxConnectionDurationMs,
    });
  }

  /** Its connections end with what is under way on them. */
  #renew(endpoint: UpstreamEndpoint): void {
    for (const pool of endpoint.pools()) this.#retired.add(pool);
    endpoint.renewConnections();
  }
}

/** Whether connections made with one could not have been made with the other. */
function differs(a: UpstreamSettings, b: UpstreamSettings): boolean {
  return (
    a.connectTimeoutMs !== b.connectTimeoutMs ||
    a.idleTimeoutMs !== b.idleTimeoutMs ||
    a.maxRequestsPerConnection !== b.maxRequestsPerConnection ||
    a.maxConnectionDurationMs !== b.maxConnectionDurationMs ||
    a.maxStreams !== b.maxStreams
  );
}
