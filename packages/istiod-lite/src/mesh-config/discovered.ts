/**
 * The objects that the control plane looks at: those of namespaces that the discovery selectors accept, and of Istio's kinds
 * those of this revision.
 *
 * A namespace that comes to be accepted, or no longer is, is as if its objects came or went. Without selectors nothing
 * depends on namespaces, so an object may be known before its namespace is. Policies of the root namespace count always:
 * selectors that forget it must not open the mesh.
 */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { MapCollection } from '@ambit/collections/map-collection';
import type { Scheduler } from '@ambit/collections/scheduler';
import { ONLY, type Singleton } from '@ambit/collections/singleton';
import type { KubeObject } from '@ambit/kube/resource';
import type { Namespace } from '@ambit/kube/resources/core';
import type { Inputs } from '../inputs.ts';
import type { MeshConfig } from './read.ts';
import { discovers, discoversAll } from './select.ts';

const REVISION_LABEL = 'istio.io/rev';

export interface DiscoveryOptions {
  readonly meshConfig: Singleton<MeshConfig>;
  readonly scheduler: Scheduler;
  /** Of this control plane; empty: objects of every revision are ours. */
  readonly revision: string;
  /** Whose policies are those of the whole mesh. */
  readonly rootNamespace: string;
}

export interface DiscoveredInputs extends Inputs {
  readonly discoveredNamespaces: Collection<string, Namespace>;
}

/** The same inputs, without what is not to be looked at. `namespaces` and what has none stay whole. */
export function discoveredInputs(inputs: Inputs, options: DiscoveryOptions): DiscoveredInputs {
  const { meshConfig, scheduler, revision, rootNamespace } = options;
  const accepted = derivedValues({
    name: 'accepted namespaces',
    scheduler,
    from: inputs.namespaces,
    inputs: [meshConfig],
    compute: ({ metadata }, _, fetch) =>
      discovers(fetch.get(meshConfig, ONLY), metadata.labels) ? true : undefined,
  });
  const ours = ({ metadata }: KubeObject) => {
    const label = metadata.labels?.[REVISION_LABEL];
    return revision === '' || label === undefined || label === revision;
  };
  const all = () => true;
  const pick = <T extends KubeObject>(
    from: Collection<string, T>,
    keep: (value: T) => boolean,
    always?: string,
  ): Collection<string, T> => new DiscoveredCollection({ from, meshConfig, accepted, keep, always });
  return {
    ...inputs,
    discoveredNamespaces: discoveredNamespaces(inputs.namespaces, accepted, scheduler),
    pods: pick(inputs.pods, all),
    services: pick(inputs.services, all),
    endpointSlices: pick(inputs.endpointSlices, all),
    gateways: pick(inputs.gateways, all),
    serviceEntries: pick(inputs.serviceEntries, ours),
    virtualServices: pick(inputs.virtualServices, ours),
    destinationRules: pick(inputs.destinationRules, ours, rootNamespace),
    telemetries: pick(inputs.telemetries, ours, rootNamespace),
    httpRoutes: pick(inputs.httpRoutes, ours),
    grpcRoutes: pick(inputs.grpcRoutes, ours),
    tcpRoutes: pick(inputs.tcpRoutes, ours),
    tlsRoutes: pick(inputs.tlsRoutes, ours),
    backendTlsPolicies: pick(inputs.backendTlsPolicies, ours),
    workloadEntries: pick(inputs.workloadEntries, ours),
    authorizationPolicies: pick(inputs.authorizationPolicies, ours, rootNamespace),
    peerAuthentications: pick(inputs.peerAuthentications, ours, rootNamespace),
    requestAuthentications: pick(inputs.requestAuthentications, ours, rootNamespace),
  };
}

function discoveredNamespaces(
  namespaces: Collection<string, Namespace>,
  accepted: Collection<string, true>,
  scheduler: Scheduler,
): Collection<string, Namespace> {
  return new DerivedCollection({
    name: 'discovered namespaces',
    scheduler,
    from: namespaces,
    inputs: [accepted],
    compute: (namespace, key, fetch): readonly (readonly [string, Namespace])[] =>
      fetch.get(accepted, key) ? [[key, namespace]] : [],
  });
}

interface DiscoveredOptions<T> {
  readonly from: Collection<string, T>;
  readonly meshConfig: Singleton<MeshConfig>;
  readonly accepted: Collection<string, true>;
  readonly keep: (value: T) => boolean;
  /** A namespace that is looked at whatever is accepted. */
  readonly always: string | undefined;
}

/** Needs no scheduler: a change of an object is one change here, at once. Its keys are `namespace/name`. */
class DiscoveredCollection<T> extends MapCollection<string, T> {
  readonly #options: DiscoveredOptions<T>;
  #all: boolean;

  constructor(options: DiscoveredOptions<T>) {
    const { from, meshConfig, accepted } = options;
    super({ name: `discovered ${from.name}`, inputs: [from, accepted] });
    this.#options = options;
    this.#all = discoversAll(meshConfig.value);
    from.subscribe((events) => this.commit(events.map(({ key, value }) => [key, this.#shown(key, value)])));
    accepted.subscribe((events) => {
      if (!this.#all) this.#look(new Set(events.map(({ key }) => key)));
    });
    meshConfig.subscribe(() => {
      const all = discoversAll(meshConfig.value);
      if (all === this.#all) return;
      this.#all = all;
      this.#look();
    });
    const sync = () => {
      if (from.synced.value && accepted.synced.value) this.markSynced();
    };
    from.synced.subscribe(sync);
    accepted.synced.subscribe(sync);
    this.#look();
    sync();
  }

  /** Looks again at the objects of these namespaces; absent: at all. One pass over the keys, as this is rare. */
  #look(namespaces?: ReadonlySet<string>): void {
    const changes: (readonly [string, T | undefined])[] = [];
    for (const [key, value] of this.#options.from.entries())
      if (namespaces?.has(namespaceOf(key)) ?? true) changes.push([key, this.#shown(key, value)]);
    this.commit(changes);
  }

  #shown(key: string, value: T | undefined): T | undefined {
    const { accepted, keep, always } = this.#options;
    if (value === undefined || !keep(value)) return undefined;
    const namespace = namespaceOf(key);
    return this.#all || namespace === always || accepted.has(namespace) ? value : undefined;
  }
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
