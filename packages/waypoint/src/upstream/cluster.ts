/**
 * One destination: a port of a service, a subset of its endpoints, or a workload, as something to send requests to.
 *
 * Its endpoints follow mesh state, its settings the destination's policy; both are looked at when a request needs them and
 * something has changed. Endpoints that stay keep their connections; those that go end them with what is under way.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { Endpoint as Address } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { Names } from '@ambit/core/names';
import type { AppProtocol } from '@ambit/model/service';
import type { MeshChange } from '@ambit/model/store';
import type { Workload } from '@ambit/model/workload';
import { Balancer } from '../decide/balance/balancer.ts';
import { levelsOf } from '../decide/balance/levels.ts';
import type { EjectionReason, EndpointResult } from '../decide/outlier.ts';
import type { ConnectionView } from '../decide/request-view.ts';
import { CHOSEN_ADDRESSES } from '../limits.ts';
import type { Destination } from '../resources/destination-policy.ts';
import type { ResourceChange } from '../resources/store.ts';
import { Breakers } from './breakers.ts';
import type { ClusterSource, ClusterView } from './cluster-source.ts';
import type { ConnectAbout, Connector, DuplexWaiter, TransportWaiter } from './connector.ts';
import { Ejections } from './ejections.ts';
import { type EndpointFacts, endpointKey, type EndpointOwner, UpstreamEndpoint } from './endpoint.ts';
import { UpstreamError } from './errors.ts';
import { HealthChecks } from './health-checks.ts';
import { HttpPool, type HttpVersion } from './http-pool.ts';
import { probeOf } from './probe.ts';
import { proxyPreamble } from './proxy-preamble.ts';
import { Resolution } from './resolution.ts';
import { samePolicy, type UpstreamSettings, upstreamVersion } from './settings.ts';

export interface ClusterDeps {
  /** Of the service's endpoints; empty: all of them. */
  readonly subset: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly names: Names;
  readonly connector: Connector;
  readonly log: Logger;
  /** This waypoint, as a client: localities are compared with its own. */
  readonly self: () => Workload;
  readonly destination: () => Destination;
  readonly settings: (destination: Destination) => UpstreamSettings;
}

export interface ClusterPick {
  readonly hash: number | undefined;
  readonly avoid: ReadonlySet<UpstreamEndpoint>;
  readonly random: Random;
  /** What the client named, for services that leave the choice to it. */
  readonly address: Address;
}

export interface ClusterCounts {
  readonly ejections: Map<EjectionReason, number>;
  /** Health checks. */
  passedChecks: number;
  failedChecks: number;
  /** Requests that were not tried again since there were too many retries. */
  retriesOverBudget: number;
}

export class Cluster implements EndpointOwner, Disposable {
  readonly source: ClusterSource;
  /** Empty: all endpoints. */
  readonly subset: string;
  readonly breakers: Breakers;
  /** What ever happened here; for metrics. */
  readonly counts: ClusterCounts = {
    ejections: new Map(),
    passedChecks: 0,
    failedChecks: 0,
    retriesOverBudget: 0,
  };
  /** @internal Copies of requests that are on their way here. */
  mirrors = 0;
  readonly #deps: ClusterDeps;
  readonly #resolution: Resolution;
  readonly #endpoints = new Map<string, UpstreamEndpoint>();
  /** Pools of endpoints that went, or that were made with other settings, until they are empty. */
  readonly #retired = new Set<HttpPool>();
  #view: ClusterView;
  #balancer: Balancer<UpstreamEndpoint> | undefined;
  #ejections: Ejections | undefined;
  #checks: HealthChecks | undefined;
  #destination: Destination;
  #settings: UpstreamSettings;
  #stale = true;
  /** When an endpoint was last asked for; milliseconds of the monotonic clock. */
  #usedMs: number;

  constructor(source: ClusterSource, deps: ClusterDeps) {
    this.source = source;
    this.subset = deps.subset;
    this.#deps = deps;
    this.#usedMs = deps.clock.monotonicMs();
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

  resourcesChanged({ kinds, services }: ResourceChange): void {
    if (!kinds.has('DestinationPolicy') && !kinds.has('MeshSettings')) return;
    const { service } = this.source;
    if (services === 'all' || (service !== undefined && services.has(service))) this.invalidate();
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

  /** Why nothing can be sent there. */
  get problem(): UpstreamError | undefined {
    this.#refresh();
    return this.#view.problem ?? this.#policyProblem();
  }

  /** The client says where its requests go. */
  get isChosenByClient(): boolean {
    this.#refresh();
    return this.#view.chosen !== undefined;
  }

  /** Clients bring names below this, and each is a destination of its own. */
  get wildcard(): string | undefined {
    this.#refresh();
    return this.#view.wildcard;
  }

  get endpoints(): Iterable<UpstreamEndpoint> {
    this.#refresh();
    return this.#endpoints.values();
  }

  /**
   * Has the name that a client brought looked up, if that is due.
   *
   * @returns `false`: nothing is known of it, and nobody may be asked for this client now.
   */
  lookUp(name: string, client: string | undefined): boolean {
    return this.#resolution.ask(name, client) || this.#resolution.knownOf(name).length > 0;
  }

  /** Names of endpoints are being resolved, and none is known yet: wait before picking. */
  get pending(): Promise<unknown> | undefined {
    this.#refresh();
    return this.#endpoints.size === 0 ? this.#resolution.pending : undefined;
  }

  pick({ hash, avoid, random, address }: ClusterPick): UpstreamEndpoint | UpstreamError {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#usedMs = nowMs;
    this.#refresh();
    const problem = this.#view.problem ?? this.#policyProblem();
    if (problem) return problem;
    if (this.#view.chosen) return this.#chosen(this.#view.chosen(address));
    const picked = this.#balancer?.pick({ hash, avoid, nowMs, random });
    if (picked) return picked;
    const message = `no healthy endpoint of ${this.source.name}`;
    return new UpstreamError('UH', 'no_healthy_upstream', message);
  }

  /** The endpoint of this key (`ip:port`), if it may be used: where a session leads. */
  endpointAt(key: string): UpstreamEndpoint | undefined {
    this.#refresh();
    if (this.#view.problem ?? this.#policyProblem()) return undefined;
    return this.#endpoints.values().find((endpoint) => endpoint.key === key && endpoint.isHealthy);
  }

  /** A connection that carries bytes. @param client - Whose it is. */
  transport(endpoint: UpstreamEndpoint, client: ConnectionView, waiter: TransportWaiter): Disposable {
    const about = this.#about(undefined, this.tellsClient ? client : undefined);
    return this.#deps.connector.transport(endpoint, about, waiter);
  }

  /** The same as a Duplex. */
  duplex(endpoint: UpstreamEndpoint, client: ConnectionView, waiter: DuplexWaiter): Disposable {
    const about = this.#about('1.1', this.tellsClient ? client : undefined);
    return this.#deps.connector.duplex(endpoint, about, waiter);
  }

  /** @internal */
  get tellsClient(): boolean {
    return this.#destination.proxyProtocol !== undefined;
  }

  /** @internal */
  report(endpoint: UpstreamEndpoint, result: EndpointResult): void {
    this.#ejections?.report(endpoint, result);
  }

  /** Closes connections that are idle or old, and forgets pools that have ended. */
  sweep(): void {
    for (const endpoint of this.#endpoints.values()) {
      for (const pool of endpoint.pools()) pool.sweep();
      endpoint.dropEmptyPools();
    }
    for (const pool of this.#retired) {
      pool.sweep();
      if (pool.isEmpty) this.#retired.delete(pool);
    }
  }

  /** Nothing new: connections end with what is under way. */
  retire(): void {
    for (const [key, endpoint] of this.#endpoints) this.#remove(key, endpoint);
    this.#balancer = undefined;
    this.#stopWatching();
    this.#stale = true;
  }

  get usedMs(): number {
    return this.#usedMs;
  }

  /** {@link isIdle}, and no connection is kept. */
  get isUnused(): boolean {
    return this.isIdle && this.#endpoints.values().every((endpoint) => endpoint.isUnused);
  }

  /**
   * No request is under way, waits for its next try, or for a name to be looked up; connections may be kept. Breakers count a
   * request from its first try to its end, endpoints what carries bytes.
   */
  get isIdle(): boolean {
    return (
      this.#retired.size === 0 &&
      this.#resolution.pending === undefined &&
      this.breakers.used('requests') === 0 &&
      this.#endpoints.values().every(({ activeRequests }) => activeRequests === 0)
    );
  }

  get isEmpty(): boolean {
    return this.#endpoints.size === 0 && this.#retired.size === 0;
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    for (const endpoint of this.#endpoints.values()) endpoint[Symbol.dispose]();
    for (const pool of this.#retired) pool[Symbol.dispose]();
    this.#endpoints.clear();
    this.#retired.clear();
  }

  #refresh(): void {
    if (!this.#stale && !this.#resolution.isOld) return;
    this.#stale = false;
    const { destination, settings } = this.#deps;
    const [policyBefore, before] = [this.#destination, this.#settings];
    this.#destination = destination();
    this.#settings = settings(this.#destination);
    this.breakers.limits = this.#settings.breakers;
    const { distribution } = this.#view;
    this.#view = this.source.read(this.#destination, this.#resolution);
    const areOthers = !this.#view.chosen && this.#adopt(this.#view.endpoints);
    const isOther = differs(before, this.#settings) || !sameConnections(policyBefore, this.#destination);
    if (isOther) for (const endpoint of this.#endpoints.values()) this.#renew(endpoint);
    const isSame =
      this.#balancer &&
      !areOthers &&
      policyBefore === this.#destination &&
      before.meshLocality === this.#settings.meshLocality &&
      distribution === this.#view.distribution;
    if (isSame) return;
    this.#watch();
    this.#balancer = this.#makeBalancer();
  }

  #makeBalancer(): Balancer<UpstreamEndpoint> {
    const { self, random } = this.#deps;
    const { loadBalancer, outlierDetection } = this.#destination;
    const levels = levelsOf([...this.#endpoints.values()], {
      from: self(),
      service: this.#view.distribution,
      preference: loadBalancer?.locality,
      mesh: this.#settings.meshLocality,
      detectsOutliers: outlierDetection !== undefined,
    });
    return new Balancer(levels, {
      loadBalancer,
      panicPercent: outlierDetection?.minHealthPercent ?? 0,
      random,
    });
  }

  /** Has who looks after endpoints look after those that are here now. */
  #watch(): void {
    const { clock, random, log, connector } = this.#deps;
    const { outlierDetection, healthCheck } = this.#destination;
    const { name, calledName = '' } = this.source;
    const changed = () => this.#balancer?.healthChanged();
    if (this.#ejections && !samePolicy(this.#ejections.policy, outlierDetection)) {
      this.#ejections[Symbol.dispose]();
      this.#ejections = undefined;
      for (const endpoint of this.#endpoints.values()) endpoint.ejected = false;
    }
    if (this.#checks && !samePolicy(this.#checks.policy, healthCheck)) {
      this.#checks[Symbol.dispose]();
      this.#checks = undefined;
    }
    if (outlierDetection) {
      const { ejections } = this.counts;
      const ejected = (reason: EjectionReason) => ejections.set(reason, (ejections.get(reason) ?? 0) + 1);
      this.#ejections ??= new Ejections({ policy: outlierDetection, name, changed, ejected, clock, log });
      this.#ejections.setEndpoints(this.#endpoints.values());
    }
    if (healthCheck) {
      const probe = probeOf({
        connect: (endpoint, waiter) =>
          connector.transport(endpoint, this.#about(undefined, undefined), waiter),
        clock,
        hostname: calledName,
        version: () =>
          upstreamVersion(this.appProtocol, this.#destination, { version: '1.1', isGrpc: false }),
      });
      const checked = (isWell: boolean) => {
        if (isWell) this.counts.passedChecks += 1;
        else this.counts.failedChecks += 1;
      };
      this.#checks ??= new HealthChecks({
        policy: healthCheck,
        name,
        probe,
        changed,
        checked,
        clock,
        random,
        log,
      });
      this.#checks.setEndpoints(this.#endpoints.values());
    }
  }

  #stopWatching(): void {
    this.#ejections?.[Symbol.dispose]();
    this.#checks?.[Symbol.dispose]();
    this.#ejections = undefined;
    this.#checks = undefined;
  }

  #policyProblem(): UpstreamError | undefined {
    const { unusable, tls } = this.#destination;
    const problem = unusable ?? tls?.unreadable;
    if (problem === undefined) return undefined;
    const message = `${this.source.name} cannot be used: ${problem}`;
    return new UpstreamError('UH', 'no_healthy_upstream', message);
  }

  /** Takes over what is known now: endpoints that stay are the same objects. Whether anything of them is other. */
  #adopt(all: readonly EndpointFacts[]): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    const present = new Set<string>();
    let areOthers = false;
    for (const facts of all) {
      const key = endpointKey(facts);
      present.add(key);
      const known = this.#endpoints.get(key);
      areOthers ||= known?.facts.workload !== facts.workload || known?.facts.weight !== facts.weight;
      if (known) known.facts = facts;
      else this.#endpoints.set(key, new UpstreamEndpoint(facts, nowMs, this));
    }
    for (const [key, endpoint] of this.#endpoints) {
      if (present.has(key)) continue;
      areOthers = true;
      this.#remove(key, endpoint);
    }
    return areOthers;
  }

  #remove(key: string, endpoint: UpstreamEndpoint): void {
    this.#endpoints.delete(key);
    for (const pool of endpoint.pools()) this.#retired.add(pool);
    endpoint.leave();
  }

  #chosen(facts: EndpointFacts): UpstreamEndpoint | UpstreamError {
    const key = endpointKey(facts);
    const known = this.#endpoints.get(key);
    if (known) return known;
    if (this.#endpoints.size >= CHOSEN_ADDRESSES) this.#forgetUnused();
    if (this.#endpoints.size >= CHOSEN_ADDRESSES)
      return new UpstreamError('UO', 'overflow', `too many addresses of ${this.source.name} in use`);
    const made = new UpstreamEndpoint(facts, this.#deps.clock.monotonicMs(), this);
    this.#endpoints.set(key, made);
    return made;
  }

  #forgetUnused(): void {
    for (const [key, endpoint] of this.#endpoints) {
      if (endpoint.activeRequests === 0) this.#remove(key, endpoint);
    }
  }

  /** @internal */
  makePool(endpoint: UpstreamEndpoint, version: HttpVersion, client: ConnectionView | undefined): HttpPool {
    const { connector, clock } = this.#deps;
    const { maxStreams, maxRequestsPerConnection, idleTimeoutMs, maxConnectionDurationMs } = this.#settings;
    return new HttpPool({
      version,
      client,
      connect: (waiter) => connector.http(endpoint, version, this.#about(version, client), waiter),
      breakers: this.breakers,
      clock,
      maxStreams,
      maxRequestsPerConnection,
      idleTimeoutMs,
      maxConnectionDurationMs,
    });
  }

  #about(version: HttpVersion | undefined, client: ConnectionView | undefined): ConnectAbout {
    const { tls: policy, proxyProtocol } = this.#destination;
    const { hostname, calledName } = this.source;
    return {
      hostname,
      settings: this.#settings,
      tls: policy && { policy, version, hostname: calledName },
      preamble: proxyProtocol && proxyPreamble(proxyProtocol, client),
    };
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

function sameConnections(a: Destination, b: Destination): boolean {
  return a.proxyProtocol === b.proxyProtocol && samePolicy(a.tls, b.tls);
}
