/**
 * Every destination that requests are sent to.
 *
 * A destination is made when a request first needs it, told of changes that concern it, and goes with its service. Ports of
 * workloads and names below a wildcard are what clients name, so a destination of that kind goes when it has not been used
 * for a while, and there are only so many of one client.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { Names } from '@ambit/core/names';
import type { MeshStore } from '@ambit/model/store';
import type { Workload } from '@ambit/model/workload';
import type { WorkloadDestination } from '../decide/destination.ts';
import { nameBelow } from '../decide/outside.ts';
import type { BackendService } from '../decide/route-decision.ts';
import { FLEETING_KEPT_MS, UPSTREAM_SWEEP_MS } from '../limits.ts';
import { type Destination, NO_TRAFFIC_POLICY } from '../resources/destination-policy.ts';
import type { ResourceStore } from '../resources/store.ts';
import { Cluster } from './cluster.ts';
import { type ClusterSource, NamedSource, ServiceSource, WorkloadSource } from './cluster-source.ts';
import type { Connector } from './connector.ts';
import { UpstreamError } from './errors.ts';
import { Fleeting } from './fleeting.ts';
import { upstreamSettings } from './settings.ts';

export interface UpstreamsOptions {
  readonly mesh: MeshStore;
  readonly resources: Pick<ResourceStore, 'snapshot' | 'changes'>;
  readonly connector: Connector;
  readonly names: Names;
  /** Those that clients bring. */
  readonly outside: { readonly names: Names; readonly mayBeAsked: (ip: string) => boolean };
  readonly clock: Clock;
  /** This waypoint, as a client of the service. */
  readonly self: () => Workload;
  readonly random: Random;
  readonly log: Logger;
}

export class Upstreams implements Disposable {
  readonly #options: UpstreamsOptions;
  readonly #clusters = new Map<string, Cluster>();
  /** Of those, the ones that clients' choice of a port or a name has made. */
  readonly #fleeting = new Fleeting<Cluster>();
  readonly #disposables = new DisposableStack();

  constructor(options: UpstreamsOptions) {
    this.#options = options;
    const { mesh, resources, clock } = options;
    this.#disposables.use(
      mesh.changes.subscribe((change) => {
        for (const cluster of this.#clusters.values()) cluster.meshChanged(change);
      }),
    );
    this.#disposables.use(
      resources.changes.subscribe((change) => {
        for (const cluster of this.#clusters.values()) cluster.resourcesChanged(change);
      }),
    );
    const sweeping = clock.every(UPSTREAM_SWEEP_MS, () => this.#sweep());
    this.#disposables.defer(() => sweeping.cancel());
  }

  /** A service's port, or a subset of its endpoints. */
  cluster({ to, subset }: BackendService): Cluster {
    const { mesh, self, resources, names } = this.#options;
    const { service, port } = to;
    return this.#cluster(`${service} ${port} ${subset}`, {
      subset,
      names,
      source: () => new ServiceSource(mesh, self, service, port),
      destination: () => resources.snapshot.destination(service, port, subset),
    });
  }

  /**
   * The same; where clients bring the names, what is behind the one that is asked for. Asking for none of them is what a
   * request for a virtual host that is not there is to Envoy.
   *
   * @param host - That a client asks for, with or without a port.
   * @param client - Its identity: a lookup counts as its own, and so does what is remembered of the name.
   */
  clusterFor(
    backend: BackendService,
    host: () => string | undefined,
    client: string | undefined,
  ): Cluster | UpstreamError {
    const whole = this.cluster(backend);
    const { wildcard } = whole;
    if (wildcard === undefined) return whole;
    const name = nameBelow(wildcard, host() ?? '');
    if (name === undefined)
      return new UpstreamError('NR', 'route_not_found', `no name below ${wildcard} is asked for`);
    const { mesh, self, resources, outside } = this.#options;
    const { to, subset } = backend;
    const { service, port } = to;
    const key = `${service} ${port} ${subset} ${name}`;
    const isKnown = this.#clusters.has(key);
    const named = this.#named(key, client, {
      subset,
      names: outside.names,
      source: () =>
        new NamedSource(new ServiceSource(mesh, self, service, port), name, {
          mesh,
          self,
          mayBeAsked: outside.mayBeAsked,
        }),
      destination: () => resources.snapshot.destination(service, port, subset),
    });
    if (named instanceof UpstreamError || named.lookUp(name, client)) return named;
    // Refusals cost a client nothing: remembered, they would drive out what others look up.
    if (!isKnown) this.#forget(key, named);
    return new UpstreamError(
      'UO',
      'overflow',
      `${name} is not looked up: too many names are, or of this client`,
    );
  }

  /**
   * A workload by its own address.
   *
   * @param client - Its identity: what is remembered of the port counts as its own.
   */
  workload(
    { workload, address, protocol }: WorkloadDestination,
    client: string | undefined,
  ): Cluster | UpstreamError {
    const { mesh, names } = this.#options;
    return this.#named(`${workload.uid} ${address.ip} ${address.port}`, client, {
      subset: '',
      names,
      source: () => new WorkloadSource(mesh, workload.uid, address, protocol),
      destination: () => NO_POLICY,
    });
  }

  clusters(): Iterable<Cluster> {
    return this.#clusters.values();
  }

  [Symbol.dispose](): void {
    this.#disposables.dispose();
    for (const cluster of this.#clusters.values()) cluster[Symbol.dispose]();
    this.#clusters.clear();
  }

  /** One that a client has named. */
  #named(key: string, client: string | undefined, wanted: NewCluster): Cluster | UpstreamError {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#clusters.get(key);
    if (known) {
      this.#fleeting.used(key, client, nowMs);
      return known;
    }
    if (!this.#fleeting.hasRoom(client, nowMs, (other, cluster) => this.#forget(other, cluster)))
      return new UpstreamError('UO', 'overflow', 'too many ports and names are in use, or of this client');
    const made = this.#cluster(key, wanted);
    this.#fleeting.add(key, made, client);
    return made;
  }

  #cluster(key: string, { subset, names, source, destination }: NewCluster): Cluster {
    const known = this.#clusters.get(key);
    if (known) return known;
    const { resources, connector, clock, random, log, self } = this.#options;
    const made = new Cluster(source(), {
      subset,
      clock,
      random,
      names,
      connector,
      log,
      self,
      destination,
      settings: (policy) => upstreamSettings(policy, resources.snapshot.settings),
    });
    this.#clusters.set(key, made);
    return made;
  }

  #sweep(): void {
    for (const [key, cluster] of this.#clusters) {
      cluster.sweep();
      if (!cluster.source.isGone) continue;
      cluster.retire();
      if (cluster.isEmpty) this.#forget(key, cluster);
    }
    const beforeMs = this.#options.clock.monotonicMs() - FLEETING_KEPT_MS;
    for (const [key, cluster] of this.#fleeting.entries())
      if (cluster.usedMs <= beforeMs && cluster.isUnused) this.#forget(key, cluster);
  }

  #forget(key: string, cluster: Cluster): void {
    this.#clusters.delete(key);
    this.#fleeting.delete(key);
    cluster[Symbol.dispose]();
  }
}

interface NewCluster {
  readonly subset: string;
  readonly names: Names;
  readonly source: () => ClusterSource;
  readonly destination: () => Destination;
}

/** Policies are for services. */
const NO_POLICY: Destination = {
  service: '/',
  port: 0,
  workloads: undefined,
  unusable: undefined,
  from: [],
  ...NO_TRAFFIC_POLICY,
};
