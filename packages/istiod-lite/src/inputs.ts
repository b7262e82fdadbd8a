/** Every Kubernetes kind that the control plane watches, as collections; cut down to what is read. */
import type { Collection } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Scheduler } from '@ambit/collections/scheduler';
import { isDnsSubdomain } from '@ambit/core/dns-subdomain';
import type { KubeClient, Selection } from '@ambit/kube/client';
import { type Referenced, ReferencedObjects } from '@ambit/kube/referenced-objects';
import type { KubeObject } from '@ambit/kube/resource';
import { type BackendTlsPolicy, backendTlsPolicies } from '@ambit/kube/resources/backend-tls';
import {
  type ConfigMap,
  configMaps,
  type Container,
  type EndpointSlice,
  endpointSlices,
  type Namespace,
  namespaces,
  type Node,
  nodes,
  type Pod,
  pods,
  type Service,
  services,
} from '@ambit/kube/resources/core';
import { type Gateway, type GatewayClass, gatewayClasses, gateways } from '@ambit/kube/resources/gateway';
import {
  type DestinationRule,
  destinationRules,
  type ServiceEntry,
  serviceEntries,
  type VirtualService,
  virtualServices,
  type WorkloadEntry,
  workloadEntries,
} from '@ambit/kube/resources/networking';
import {
  type GrpcRoute,
  grpcRoutes,
  type HttpRoute,
  httpRoutes,
  type TcpRoute,
  tcpRoutes,
  type TlsRoute,
  tlsRoutes,
} from '@ambit/kube/resources/routes';
import {
  type AuthorizationPolicy,
  authorizationPolicies,
  type PeerAuthentication,
  peerAuthentications,
  type RequestAuthentication,
  requestAuthentications,
} from '@ambit/kube/resources/security';
import { type Telemetry, telemetries } from '@ambit/kube/resources/telemetry';
import { pick } from '@ambit/kube/pick';
import { watchCollection, type WatchCollectionOptions } from '@ambit/kube/watch-collection';
import { CERTIFICATES_KEY } from './certificates.ts';
import { certificateMapsOf } from './translate/destinations/backend-tls-policy.ts';

/** Keyed as `@ambit/kube` keys objects: `namespace/name`, or the name. */
export interface Inputs {
  readonly namespaces: Collection<string, Namespace>;
  readonly nodes: Collection<string, Node>;
  readonly pods: Collection<string, Pod>;
  readonly services: Collection<string, Service>;
  readonly endpointSlices: Collection<string, EndpointSlice>;
  readonly serviceEntries: Collection<string, ServiceEntry>;
  readonly virtualServices: Collection<string, VirtualService>;
  readonly destinationRules: Collection<string, DestinationRule>;
  readonly telemetries: Collection<string, Telemetry>;
  readonly workloadEntries: Collection<string, WorkloadEntry>;
  readonly authorizationPolicies: Collection<string, AuthorizationPolicy>;
  readonly peerAuthentications: Collection<string, PeerAuthentication>;
  readonly requestAuthentications: Collection<string, RequestAuthentication>;
  readonly gateways: Collection<string, Gateway>;
  readonly gatewayClasses: Collection<string, GatewayClass>;
  readonly httpRoutes: Collection<string, HttpRoute>;
  readonly grpcRoutes: Collection<string, GrpcRoute>;
  readonly tcpRoutes: Collection<string, TcpRoute>;
  readonly tlsRoutes: Collection<string, TlsRoute>;
  readonly backendTlsPolicies: Collection<string, BackendTlsPolicy>;
  /** Those that BackendTLSPolicies take certificates from. */
  readonly certificateMaps: Collection<string, Referenced<ConfigMap>>;
}

/** What is watched, wherever it is; the graph leaves out what discovery selectors leave out. */
export interface AllInputs extends Inputs {
  /** The one with the mesh's settings, if it is there. */
  readonly meshConfigMaps: Collection<string, ConfigMap>;
}

export interface WatchedInputs extends AllInputs, AsyncDisposable {}

export interface WatchInputsOptions
  extends Pick<WatchCollectionOptions<KubeObject>, 'clock' | 'random' | 'observer' | 'log'> {
  /** `namespace` and name of the ConfigMap with the mesh's settings. */
  readonly meshConfig: { readonly namespace: string; readonly name: string };
  readonly scheduler: Scheduler;
}

export function watchInputs(
  client: KubeClient,
  { meshConfig, scheduler, ...options }: WatchInputsOptions,
): WatchedInputs {
  const scope = new AsyncDisposableStack();
  const tlsPolicies = scope.use(watchCollection(client, backendTlsPolicies, options));
  return {
    namespaces: scope.use(watchCollection(client, namespaces, options)),
    nodes: scope.use(watchCollection(client, nodes, { ...options, trim: trimNode })),
    pods: scope.use(watchCollection(client, pods, { ...options, trim: trimPod })),
    services: scope.use(watchCollection(client, services, options)),
    endpointSlices: scope.use(watchCollection(client, endpointSlices, options)),
    serviceEntries: scope.use(watchCollection(client, serviceEntries, options)),
    virtualServices: scope.use(watchCollection(client, virtualServices, options)),
    destinationRules: scope.use(watchCollection(client, destinationRules, options)),
    telemetries: scope.use(watchCollection(client, telemetries, options)),
    workloadEntries: scope.use(watchCollection(client, workloadEntries, options)),
    authorizationPolicies: scope.use(watchCollection(client, authorizationPolicies, options)),
    peerAuthentications: scope.use(watchCollection(client, peerAuthentications, options)),
    requestAuthentications: scope.use(watchCollection(client, requestAuthentications, options)),
    gateways: scope.use(watchCollection(client, gateways, options)),
    gatewayClasses: scope.use(watchCollection(client, gatewayClasses, options)),
    httpRoutes: scope.use(watchCollection(client, httpRoutes, options)),
    grpcRoutes: scope.use(watchCollection(client, grpcRoutes, options)),
    tcpRoutes: scope.use(watchCollection(client, tcpRoutes, options)),
    tlsRoutes: scope.use(watchCollection(client, tlsRoutes, options)),
    backendTlsPolicies: tlsPolicies,
    certificateMaps: scope.use(
      new ReferencedObjects({
        name: 'certificate maps',
        references: certificateReferences(tlsPolicies, scheduler),
        mayExist: mayBeConfigMap,
        follow: (key) =>
          watchCollection(client, configMaps, {
            ...options,
            ...selectionOf(key),
            name: 'config maps with certificates',
            trim: trimCertificates,
          }),
      }),
    ),
    meshConfigMaps: scope.use(
      watchCollection(client, configMaps, {
        ...options,
        name: 'mesh config maps',
        namespace: meshConfig.namespace,
        fieldSelector: `metadata.name=${meshConfig.name}`,
      }),
    ),
    [Symbol.asyncDispose]: () => scope.disposeAsync(),
  };
}

/** Of `namespace/name`: whether a ConfigMap can be called so. */
export function mayBeConfigMap(key: string): boolean {
  return isDnsSubdomain(key.slice(key.indexOf('/') + 1));
}

/** That object alone; `undefined`: all of them. */
export function selectionOf(key: string | undefined): Pick<Selection, 'namespace' | 'fieldSelector'> {
  if (key === undefined) return {};
  const at = key.indexOf('/');
  return { namespace: key.slice(0, at), fieldSelector: `metadata.name=${key.slice(at + 1)}` };
}

/** By `namespace/name` of the ConfigMap. */
export function certificateReferences(
  policies: Collection<string, BackendTlsPolicy>,
  scheduler: Scheduler,
): IndexCollection<string, BackendTlsPolicy> {
  return new IndexCollection({
    name: 'backend TLS policies by config map',
    scheduler,
    from: policies,
    keysOf: certificateMapsOf,
  });
}

function trimCertificates({ metadata, data = {} }: ConfigMap): ConfigMap {
  const { annotations: _, labels: __, ...lean } = metadata;
  return { metadata: lean, data: pick(data, [CERTIFICATES_KEY]) };
}

function trimNode({ metadata, spec }: Node): Node {
  return { metadata, ...(spec?.taints && { spec: { taints: spec.taints } }) };
}

/** A pod's specification is most of its bytes, and hardly any of it matters here. */
function trimPod({ metadata, spec = {}, status = {} }: Pod): Pod {
  const { containers, initContainers } = spec;
  const { conditions } = status;
  const leanSpec: Writable<NonNullable<Pod['spec']>> = pick(spec, [
    'nodeName',
    'hostNetwork',
    'serviceAccountName',
  ]);
  if (containers) leanSpec.containers = containers.map(trimContainer);
  if (initContainers) leanSpec.initContainers = initContainers.map(trimContainer);
  const leanStatus: Writable<NonNullable<Pod['status']>> = pick(status, ['phase', 'podIP', 'podIPs']);
  if (conditions) leanStatus.conditions = conditions.filter(({ type }) => type === 'Ready');
  return { metadata, spec: leanSpec, status: leanStatus };
}

function trimContainer(container: Container): Container {
  return pick(container, ['name', 'ports', 'restartPolicy']);
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
