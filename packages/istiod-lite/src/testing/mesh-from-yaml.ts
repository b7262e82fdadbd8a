/** A graph fed from a user's YAML, and its results in words: for golden tests. */
import { StaticCollection } from '@ambit/collections/static';
import { Scheduler } from '@ambit/collections/scheduler';
import { decodeAuthorization } from '@ambit/api/authorization';
import { decodeAddress } from '@ambit/api/workload';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import { type Clock, systemClock } from '@ambit/core/clock';
import { formatIp } from '@ambit/core/ip';
import { silentLogger } from '@ambit/core/log';
import { ReferencedObjects } from '@ambit/kube/referenced-objects';
import { keyOf, type KubeObject } from '@ambit/kube/resource';
import type { BackendTlsPolicy } from '@ambit/kube/resources/backend-tls';
import type { ConfigMap, EndpointSlice, Namespace, Node, Pod, Service } from '@ambit/kube/resources/core';
import type { Gateway, GatewayClass } from '@ambit/kube/resources/gateway';
import type {
  DestinationRule,
  ServiceEntry,
  VirtualService,
  WorkloadEntry,
} from '@ambit/kube/resources/networking';
import type { Telemetry } from '@ambit/kube/resources/telemetry';
import type { GrpcRoute, HttpRoute, TcpRoute, TlsRoute } from '@ambit/kube/resources/routes';
import type {
  AuthorizationPolicy,
  PeerAuthentication,
  RequestAuthentication,
} from '@ambit/kube/resources/security';
import { parseAllDocuments } from 'yaml';
import type { WantedConditions } from '../derive/conditions.ts';
import { buildGraph, type Graph } from '../graph.ts';
import { certificateReferences, mayBeConfigMap } from '../inputs.ts';
import type { WantedCondition } from '../translate/condition.ts';
import type { WantedParent } from '../translate/routes/route-status.ts';
import type { MeshSettings } from '../translate/settings.ts';

export const testSettings: MeshSettings = {
  clusterId: 'Kubernetes',
  trustDomain: 'cluster.local',
  domain: 'cluster.local',
  systemNamespace: 'istio-system',
  rootNamespace: 'istio-system',
  l7WithoutWaypoint: 'deny',
  dryRun: false,
  ipAutoallocate: true,
  serviceEntriesSelectPods: true,
  servicesSelectWorkloadEntries: true,
};

export class TestMesh {
  readonly errors: string[] = [];
  readonly scheduler = new Scheduler({
    defer: () => undefined,
    onError: (collection, key, error) => this.errors.push(`${collection} ${key}: ${String(error)}`),
  });
  readonly #backendTlsPolicies = new StaticCollection<string, BackendTlsPolicy>({
    name: 'backend TLS policies',
  });
  readonly #configMaps = new StaticCollection<string, ConfigMap>({ name: 'config maps' });
  readonly inputs = {
    backendTlsPolicies: this.#backendTlsPolicies,
    certificateMaps: new ReferencedObjects({
      name: 'certificate maps',
      references: certificateReferences(this.#backendTlsPolicies, this.scheduler),
      mayExist: mayBeConfigMap,
      follow: () => Object.assign(this.#configMaps, { [Symbol.asyncDispose]: () => Promise.resolve() }),
    }),
    namespaces: new StaticCollection<string, Namespace>({ name: 'namespaces' }),
    nodes: new StaticCollection<string, Node>({ name: 'nodes' }),
    pods: new StaticCollection<string, Pod>({ name: 'pods' }),
    services: new StaticCollection<string, Service>({ name: 'services' }),
    endpointSlices: new StaticCollection<string, EndpointSlice>({ name: 'endpoint slices' }),
    serviceEntries: new StaticCollection<string, ServiceEntry>({ name: 'service entries' }),
    virtualServices: new StaticCollection<string, VirtualService>({ name: 'virtual services' }),
    destinationRules: new StaticCollection<string, DestinationRule>({ name: 'destination rules' }),
    telemetries: new StaticCollection<string, Telemetry>({ name: 'telemetries' }),
    workloadEntries: new StaticCollection<string, WorkloadEntry>({ name: 'workload entries' }),
    authorizationPolicies: new StaticCollection<string, AuthorizationPolicy>({
      name: 'authorization policies',
    }),
    peerAuthentications: new StaticCollection<string, PeerAuthentication>({ name: 'peer authentications' }),
    requestAuthentications: new StaticCollection<string, RequestAuthentication>({
      name: 'request authentications',
    }),
    gateways: new StaticCollection<string, Gateway>({ name: 'gateways' }),
    gatewayClasses: new StaticCollection<string, GatewayClass>({ name: 'gateway classes' }),
    httpRoutes: new StaticCollection<string, HttpRoute>({ name: 'http routes' }),
    grpcRoutes: new StaticCollection<string, GrpcRoute>({ name: 'grpc routes' }),
    tcpRoutes: new StaticCollection<string, TcpRoute>({ name: 'tcp routes' }),
    tlsRoutes: new StaticCollection<string, TlsRoute>({ name: 'tls routes' }),
    meshConfigMaps: this.#configMaps,
  };
  readonly graph: Graph;
  /** What was put off, with its delay; run it by hand. */
  readonly later: { readonly ms: number; readonly run: () => void }[] = [];
  readonly clock: Clock = {
    ...systemClock,
    after: (ms, run) => {
      this.later.push({ ms, run });
      return { cancel: () => undefined };
    },
  };

  constructor(settings: Partial<MeshSettings> = {}, revision = '') {
    this.graph = buildGraph({
      revision,
      inputs: this.inputs,
      settings: { ...testSettings, ...settings },
      scheduler: this.scheduler,
      clock: this.clock,
      log: silentLogger,
    });
  }

  apply(yaml: string): void {
    for (const document of parseAllDocuments(yaml)) {
      const object = document.toJS() as KubeObject | null;
      if (object) this.set(object);
    }
    this.scheduler.flush();
  }

  /** As it is, and without looking at what follows from it. */
  set(object: KubeObject): void {
    this.#collectionOf(object).set(keyOf(object), object);
  }

  delete(kind: string, key: string): void {
    this.#collectionOf({ kind, metadata: { name: '' } }).delete(key);
    this.scheduler.flush();
  }

  /** Does what was put off for at most `ms` milliseconds. */
  runLater(ms = Number.POSITIVE_INFINITY): void {
    const due = this.later.filter((item) => item.ms <= ms);
    const rest = this.later.filter((item) => item.ms > ms);
    this.later.splice(0, this.later.length, ...rest);
    for (const { run } of due) run();
  }

  /** What is served and what statuses say, in a form that a person can check. */
  results(): object {
    const addresses = [...this.graph.addressFeed.all()].map(({ name, aliases, value }) => {
      const { type } = decodeAddress(value);
      return [name, { aliases, [type?.$case ?? 'nothing']: readable(type?.value) }] as const;
    });
    const policies = [...this.graph.authorizationFeed.all()].map(
      ({ name, value }) => [name, readable(decodeAuthorization(value))] as const,
    );
    const statuses = [...this.graph.translatedPolicies.entries()].map(
      ([name, { acceptance }]) => [name, acceptance ?? 'not for ztunnel'] as const,
    );
    const waypointResources = this.graph.waypointFeeds.flatMap((feed) =>
      [...feed.entries()].map(({ resource: { name, value }, audience }) => {
        const content = readable(decodeWaypointResource(feed.kind, value)) as object;
        return [`${feed.kind} ${name}`, { audience, ...content }] as const;
      }),
    );
    const shown = waypointResources.filter(([name]) => !name.startsWith('MeshSettings '));
    const attached = { ...this.graph.routeStatuses, BackendTLSPolicy: this.graph.backendTlsStatuses };
    const routes = Object.entries(attached).flatMap(([kind, statuses]) =>
      [...statuses.entries()].map(([name, parents]) => [`${kind} ${name}`, parents.map(inWords)] as const),
    );
    const conditions = [
      ...this.#conditions('Service', this.graph.conditions.ofServices),
      ...this.#conditions('ServiceEntry', this.graph.conditions.ofServiceEntries),
      ...this.#conditions('WorkloadEntry', this.graph.conditions.ofWorkloadEntries),
      ...this.#conditions('AuthorizationPolicy', this.graph.conditions.ofPoliciesAtWaypoints),
      ...this.#conditions('RequestAuthentication', this.graph.conditions.ofRequestAuthentications),
      ...this.#conditions('VirtualService', this.graph.conditions.ofVirtualServices),
      ...this.#conditions('DestinationRule', this.graph.conditions.ofDestinationRules),
    ];
    return {
      addresses: sorted(addresses),
      authorizations: sorted(policies),
      statuses: sorted(statuses),
      ...(conditions.length > 0 && { conditions: sorted(conditions) }),
      ...(shown.length > 0 && { waypointResources: sorted(shown) }),
      ...(routes.length > 0 && { routes: sorted(routes) }),
    };
  }

  #conditions(kind: string, of: WantedConditions): readonly (readonly [string, readonly string[]])[] {
    return [...of.entries()].map(([name, all]) => [`${kind} ${name}`, all.map(conditionInWords)]);
  }

  #collectionOf({ kind = '' }: KubeObject): StaticCollection<string, KubeObject> {
    const byKind: Record<string, unknown> = {
      Namespace: this.inputs.namespaces,
      Node: this.inputs.nodes,
      Pod: this.inputs.pods,
      Service: this.inputs.services,
      EndpointSlice: this.inputs.endpointSlices,
      ConfigMap: this.inputs.meshConfigMaps,
      ServiceEntry: this.inputs.serviceEntries,
      VirtualService: this.inputs.virtualServices,
      DestinationRule: this.inputs.destinationRules,
      Telemetry: this.inputs.telemetries,
      WorkloadEntry: this.inputs.workloadEntries,
      AuthorizationPolicy: this.inputs.authorizationPolicies,
      PeerAuthentication: this.inputs.peerAuthentications,
      RequestAuthentication: this.inputs.requestAuthentications,
      Gateway: this.inputs.gateways,
      GatewayClass: this.inputs.gatewayClasses,
      HTTPRoute: this.inputs.httpRoutes,
      GRPCRoute: this.inputs.grpcRoutes,
      TCPRoute: this.inputs.tcpRoutes,
      TLSRoute: this.inputs.tlsRoutes,
      BackendTLSPolicy: this.inputs.backendTlsPolicies,
    };
    const collection = byKind[kind];
    if (!collection) throw new Error(`no collection for ${kind}`);
    return collection as StaticCollection<string, KubeObject>;
  }
}

function conditionInWords({ type, isTrue, reason, message }: WantedCondition): string {
  return `${type} ${isTrue ? 'True' : 'False'} ${reason}: ${message}`;
}

function inWords({ parentRef, conditions }: WantedParent): object {
  return { parentRef, conditions: conditions.map(conditionInWords) };
}

function sorted<T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Addresses as text, maps as objects, and without the fields that say nothing. */
function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return formatIp(value) ?? Buffer.from(value).toString('hex');
  if (value instanceof Map) return readable(Object.fromEntries(value as Map<string, unknown>));
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([name, field]) => [name, readable(field)] as const);
  return Object.fromEntries(fields.filter(([name, field]) => name === 'clauses' || says(field)));
}

function says(value: unknown): boolean {
  return (
    value !== undefined &&
    value !== '' &&
    value !== 0 &&
    value !== false &&
    !(Array.isArray(value) && value.length === 0)
  );
}
