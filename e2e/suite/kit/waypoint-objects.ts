/** Objects of waypoints as suites write them: routes, policies with targets, and what changes a waypoint. */
import type { KubeObject } from '@ambit/kube/resource';

const GATEWAY_API = 'gateway.networking.k8s.io/v1';

/** What a rule of a route says, in the Gateway API's own fields. */
export type RouteRule = Readonly<Record<string, unknown>>;

/** A route for a Service, by the name of the route: its kind says what it matches. */
export function route(
  kind: 'HTTPRoute' | 'GRPCRoute' | 'TCPRoute' | 'TLSRoute',
  namespace: string,
  name: string,
  service: string,
  port: number,
  rules: readonly RouteRule[],
): KubeObject {
  const spec = { parentRefs: [{ group: '', kind: 'Service', name: service, port }], rules };
  return { apiVersion: GATEWAY_API, kind, metadata: { namespace, name }, ...{ spec } };
}

export interface WaypointOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Namespaces that may use it. Default: its own. */
  readonly from?: 'All' | 'Same';
  /** A ConfigMap beside it with overlays. */
  readonly parameters?: string;
}

export function waypoint(namespace: string, name: string, options: WaypointOptions = {}): KubeObject {
  const { labels, from, parameters } = options;
  const listener = {
    name: 'mesh',
    port: 15_008,
    protocol: 'HBONE',
    ...(from && { allowedRoutes: { namespaces: { from } } }),
  };
  const spec = {
    gatewayClassName: 'istio-waypoint',
    listeners: [listener],
    ...(parameters !== undefined && {
      infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name: parameters } },
    }),
  };
  return {
    apiVersion: GATEWAY_API,
    kind: 'Gateway',
    metadata: { namespace, name, ...(labels && { labels }) },
    ...{ spec },
  };
}

/** What a Gateway may name as its parameters. */
export function overlays(
  namespace: string,
  name: string,
  data: Readonly<Record<string, string>>,
): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, ...{ data } };
}

/** A policy for one Service, which its waypoint evaluates. */
export function policyFor(
  namespace: string,
  name: string,
  service: string,
  spec: Readonly<Record<string, unknown>>,
): KubeObject {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace, name },
    ...{ spec: { targetRefs: [{ group: '', kind: 'Service', name: service }], ...spec } },
  };
}
