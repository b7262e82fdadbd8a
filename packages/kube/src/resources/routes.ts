/** The Gateway API's routes, with the fields that we read. */
import type { KubeObject, Resource } from '../resource.ts';
import type { Condition } from './core.ts';

/** Where a route is attached. Without a kind: a Gateway. */
export interface ParentReference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly sectionName?: string;
  readonly port?: number;
}

/** Where requests go. Without a kind: a Service. */
export interface BackendReference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
}

export interface WeightedBackend extends BackendReference {
  /** Default 1. */
  readonly weight?: number;
}

/** One entry of a route's status: a controller writes those with its own name. */
export interface RouteParentStatus {
  readonly parentRef: ParentReference;
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
}

export interface Route<Rule> extends KubeObject {
  readonly spec?: {
    readonly parentRefs?: readonly ParentReference[];
    readonly hostnames?: readonly string[];
    readonly rules?: readonly Rule[];
  };
  readonly status?: { readonly parents?: readonly RouteParentStatus[] };
}

export interface TypedValue {
  /** Default `Exact`. */
  readonly type?: string;
  readonly name: string;
  readonly value: string;
}

export interface HttpRouteMatch {
  readonly path?: { readonly type?: string; readonly value?: string };
  readonly headers?: readonly TypedValue[];
  readonly queryParams?: readonly TypedValue[];
  readonly method?: string;
}

interface NameAndValue {
  readonly name: string;
  readonly value: string;
}

export interface HeaderModifier {
  readonly set?: readonly NameAndValue[];
  readonly add?: readonly NameAndValue[];
  readonly remove?: readonly string[];
}

export interface PathModifier {
  readonly type: string;
  readonly replaceFullPath?: string;
  readonly replacePrefixMatch?: string;
}

export interface RequestRedirect {
  readonly scheme?: string;
  readonly hostname?: string;
  readonly path?: PathModifier;
  readonly port?: number;
  readonly statusCode?: number;
}

export interface UrlRewrite {
  readonly hostname?: string;
  readonly path?: PathModifier;
}

export interface RequestMirror {
  readonly backendRef: BackendReference;
  readonly percent?: number;
  readonly fraction?: { readonly numerator: number; readonly denominator?: number };
}

export interface CorsFilter {
  readonly allowOrigins?: readonly string[];
  readonly allowCredentials?: boolean;
  readonly allowMethods?: readonly string[];
  readonly allowHeaders?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  /** Seconds. */
  readonly maxAge?: number;
}

/** Asks a service that authorizes. */
export interface ExternalAuthFilter {
  /** `HTTP` or `GRPC`. */
  readonly protocol: string;
  readonly backendRef: BackendReference;
  /** Without names: all headers. */
  readonly grpc?: { readonly allowedHeaders?: readonly string[] };
  readonly http?: {
    readonly path?: string;
    readonly allowedHeaders?: readonly string[];
    /** Without names: all headers. */
    readonly allowedResponseHeaders?: readonly string[];
  };
  /** Bytes; 0: none. */
  readonly forwardBody?: { readonly maxSize?: number };
}

/** One of the fields beside `type`, which names it. */
export interface RouteFilter {
  readonly type: string;
  readonly requestHeaderModifier?: HeaderModifier;
  readonly responseHeaderModifier?: HeaderModifier;
  readonly requestMirror?: RequestMirror;
  readonly requestRedirect?: RequestRedirect;
  readonly urlRewrite?: UrlRewrite;
  readonly cors?: CorsFilter;
  readonly externalAuth?: ExternalAuthFilter;
}

export interface FilteredBackend extends WeightedBackend {
  readonly filters?: readonly RouteFilter[];
}

export interface SessionPersistence {
  readonly absoluteTimeout?: string;
  readonly idleTimeout?: string;
  /** Default `Cookie`. */
  readonly type?: string;
  readonly cookie?: {
    readonly name?: string;
    /** Default `/`. */
    readonly path?: string;
    readonly lifetimeType?: string;
  };
  readonly header?: { readonly name: string };
  /** Until release 1.6 of the Gateway API: the name of either. */
  readonly sessionName?: string;
  /** Until release 1.6, where it is now `cookie`. */
  readonly cookieConfig?: { readonly lifetimeType?: string };
}

export interface HttpRouteRule {
  readonly name?: string;
  readonly matches?: readonly HttpRouteMatch[];
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly FilteredBackend[];
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
  readonly retry?: {
    readonly codes?: readonly number[];
    readonly attempts?: number;
    readonly backoff?: string;
  };
  readonly sessionPersistence?: SessionPersistence;
}

export interface GrpcRouteMatch {
  readonly method?: { readonly type?: string; readonly service?: string; readonly method?: string };
  readonly headers?: readonly TypedValue[];
}

export interface GrpcRouteRule {
  readonly name?: string;
  readonly matches?: readonly GrpcRouteMatch[];
  readonly filters?: readonly RouteFilter[];
  readonly backendRefs?: readonly FilteredBackend[];
  readonly sessionPersistence?: SessionPersistence;
}

/** Of a TCPRoute and of a TLSRoute. */
export interface StreamRouteRule {
  readonly name?: string;
  readonly backendRefs?: readonly WeightedBackend[];
}

export type HttpRoute = Route<HttpRouteRule>;
export type GrpcRoute = Route<GrpcRouteRule>;
export type TcpRoute = Route<StreamRouteRule>;
export type TlsRoute = Route<StreamRouteRule>;

const gatewayApi = { group: 'gateway.networking.k8s.io', namespaced: true } as const;

export const httpRoutes: Resource<HttpRoute> = {
  ...gatewayApi,
  version: 'v1',
  olderVersions: ['v1beta1'],
  kind: 'HTTPRoute',
  plural: 'httproutes',
};

export const grpcRoutes: Resource<GrpcRoute> = {
  ...gatewayApi,
  version: 'v1',
  kind: 'GRPCRoute',
  plural: 'grpcroutes',
};

/** These two came into v1 late; what is read is the same in both versions. */
export const tcpRoutes: Resource<TcpRoute> = {
  ...gatewayApi,
  version: 'v1',
  olderVersions: ['v1alpha2'],
  kind: 'TCPRoute',
  plural: 'tcproutes',
};

export const tlsRoutes: Resource<TlsRoute> = {
  ...gatewayApi,
  version: 'v1',
  olderVersions: ['v1alpha3', 'v1alpha2'],
  kind: 'TLSRoute',
  plural: 'tlsroutes',
};
