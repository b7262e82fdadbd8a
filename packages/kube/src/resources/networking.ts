/** Istio's descriptions of what is no Service or no Pod, with the fields of their specification. */
import type { KubeObject, Resource } from '../resource.ts';
import type { Condition } from './core.ts';

type Labels = Readonly<Record<string, string>>;

/** A machine, as its own object or as an endpoint of a ServiceEntry. */
export interface WorkloadEntrySpec {
  /** An IP address, or a hostname to resolve. */
  readonly address?: string;
  /** By name, the port it serves that name's port on. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly labels?: Labels;
  /** Default: the network of this cluster. */
  readonly network?: string;
  /** `region/zone/subzone`. */
  readonly locality?: string;
  readonly weight?: number;
  readonly serviceAccount?: string;
}

export interface WorkloadEntry extends KubeObject {
  readonly spec?: WorkloadEntrySpec;
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  readonly protocol?: string;
  readonly targetPort?: number;
}

export type Resolution = 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';

export interface ServiceEntrySpec {
  readonly hosts?: readonly string[];
  /** IP addresses, or blocks of them. */
  readonly addresses?: readonly string[];
  readonly ports?: readonly ServiceEntryPort[];
  readonly location?: string;
  /** Default `NONE`. */
  readonly resolution?: Resolution;
  readonly endpoints?: readonly WorkloadEntrySpec[];
  readonly workloadSelector?: { readonly labels?: Labels };
  readonly exportTo?: readonly string[];
  readonly subjectAltNames?: readonly string[];
}

/** An address that was allotted to a host. */
export interface ServiceEntryAddress {
  readonly value?: string;
  readonly host?: string;
}

export interface ServiceEntry extends KubeObject {
  readonly spec?: ServiceEntrySpec;
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly addresses?: readonly ServiceEntryAddress[];
  };
}

const networking = { group: 'networking.istio.io', version: 'v1', namespaced: true } as const;

export const serviceEntries: Resource<ServiceEntry> = {
  ...networking,
  kind: 'ServiceEntry',
  plural: 'serviceentries',
};

export const workloadEntries: Resource<WorkloadEntry> = {
  ...networking,
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
};

/** One of them; none: whatever the value is. */
export interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

type StringMatches = Readonly<Record<string, StringMatch>>;

export interface Destination {
  /** A short name is of the namespace of the object. */
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

export interface HeaderOperations {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

export interface Headers {
  readonly request?: HeaderOperations;
  readonly response?: HeaderOperations;
}

export interface HttpRouteDestination {
  readonly destination: Destination;
  readonly weight?: number;
  readonly headers?: Headers;
}

export interface HttpMatchRequest {
  readonly name?: string;
  readonly uri?: StringMatch;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  readonly headers?: StringMatches;
  readonly withoutHeaders?: StringMatches;
  readonly queryParams?: StringMatches;
  readonly ignoreUriCase?: boolean;
  readonly port?: number;
  readonly gateways?: readonly string[];
  readonly sourceLabels?: Labels;
  readonly sourceNamespace?: string;
  readonly statPrefix?: string;
}

export interface HttpRedirect {
  readonly uri?: string;
  readonly prefixRewrite?: string;
  readonly authority?: string;
  readonly port?: number;
  readonly derivePort?: string;
  readonly scheme?: string;
  /** Default 301. */
  readonly redirectCode?: number;
}

export interface HttpRewrite {
  readonly uri?: string;
  readonly authority?: string;
  readonly uriRegexRewrite?: { readonly match?: string; readonly rewrite?: string };
}

interface Percent {
  readonly value?: number;
}

export interface HttpMirrorPolicy {
  readonly destination: Destination;
  readonly percentage?: Percent;
}

export interface CorsPolicy {
  readonly allowOrigin?: readonly string[];
  readonly allowOrigins?: readonly StringMatch[];
  readonly allowMethods?: readonly string[];
  readonly allowHeaders?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly maxAge?: string;
  readonly allowCredentials?: boolean;
  readonly unmatchedPreflights?: string;
}

export interface HttpFaultInjection {
  readonly delay?: {
    readonly percent?: number;
    readonly percentage?: Percent;
    readonly fixedDelay?: string;
    readonly exponentialDelay?: string;
  };
  readonly abort?: {
    readonly percentage?: Percent;
    readonly httpStatus?: number;
    readonly grpcStatus?: string;
    readonly http2Error?: string;
  };
}

export interface HttpRetry {
  readonly attempts?: number;
  readonly perTryTimeout?: string;
  readonly retryOn?: string;
  readonly retryRemoteLocalities?: boolean;
  readonly retryIgnorePreviousHosts?: boolean;
  readonly backoff?: string;
}

export interface VirtualServiceHttpRoute {
  readonly name?: string;
  readonly match?: readonly HttpMatchRequest[];
  readonly route?: readonly HttpRouteDestination[];
  readonly redirect?: HttpRedirect;
  readonly directResponse?: {
    readonly status: number;
    readonly body?: { readonly string?: string; readonly bytes?: string };
  };
  readonly delegate?: { readonly name?: string; readonly namespace?: string };
  readonly rewrite?: HttpRewrite;
  readonly timeout?: string;
  readonly retries?: HttpRetry;
  readonly fault?: HttpFaultInjection;
  readonly mirror?: Destination;
  readonly mirrors?: readonly HttpMirrorPolicy[];
  readonly mirrorPercentage?: Percent;
  readonly mirrorPercent?: number;
  readonly mirror_percent?: number;
  readonly corsPolicy?: CorsPolicy;
  readonly headers?: Headers;
}

export interface StreamRouteDestination {
  readonly destination: Destination;
  readonly weight?: number;
}

export interface StreamMatchAttributes {
  readonly destinationSubnets?: readonly string[];
  readonly port?: number;
  readonly sourceSubnet?: string;
  readonly sourceLabels?: Labels;
  readonly sourceNamespace?: string;
  readonly gateways?: readonly string[];
  /** Of TLS alone. */
  readonly sniHosts?: readonly string[];
}

export interface VirtualServiceStreamRoute {
  readonly match?: readonly StreamMatchAttributes[];
  readonly route?: readonly StreamRouteDestination[];
}

export interface VirtualServiceSpec {
  readonly hosts?: readonly string[];
  /** Default: `mesh`. */
  readonly gateways?: readonly string[];
  readonly http?: readonly VirtualServiceHttpRoute[];
  readonly tls?: readonly VirtualServiceStreamRoute[];
  readonly tcp?: readonly VirtualServiceStreamRoute[];
  /** Namespaces, `.` for its own, `*` for all. Default: all. */
  readonly exportTo?: readonly string[];
}

export interface VirtualService extends KubeObject {
  readonly spec?: VirtualServiceSpec;
}

/** Of a DestinationRule, and of the mesh. */
export interface LocalityLbSetting {
  readonly distribute?: readonly { readonly from?: string; readonly to?: Readonly<Record<string, number>> }[];
  readonly failover?: readonly { readonly from?: string; readonly to?: string }[];
  readonly failoverPriority?: readonly string[];
  readonly enabled?: boolean;
}

export interface LoadBalancerSettings {
  readonly simple?: string;
  readonly consistentHash?: {
    readonly httpHeaderName?: string;
    readonly httpCookie?: { readonly name: string; readonly path?: string; readonly ttl?: string };
    readonly useSourceIp?: boolean;
    readonly httpQueryParameterName?: string;
    readonly ringHash?: { readonly minimumRingSize?: number };
    readonly maglev?: { readonly tableSize?: number };
    readonly minimumRingSize?: number;
  };
  readonly localityLbSetting?: LocalityLbSetting;
  readonly warmupDurationSecs?: string;
  readonly warmup?: { readonly duration?: string };
}

export interface ConnectionPoolSettings {
  readonly tcp?: {
    readonly maxConnections?: number;
    readonly connectTimeout?: string;
    readonly maxConnectionDuration?: string;
    readonly idleTimeout?: string;
    readonly tcpKeepalive?: object;
  };
  readonly http?: {
    readonly http1MaxPendingRequests?: number;
    readonly http2MaxRequests?: number;
    readonly maxRequestsPerConnection?: number;
    readonly maxRetries?: number;
    readonly idleTimeout?: string;
    readonly h2UpgradePolicy?: string;
    readonly useClientProtocol?: boolean;
    readonly maxConcurrentStreams?: number;
  };
}

export interface OutlierDetectionSettings {
  readonly splitExternalLocalOriginErrors?: boolean;
  readonly consecutiveLocalOriginFailures?: number;
  readonly consecutiveGatewayErrors?: number;
  readonly consecutive5xxErrors?: number;
  /** The older name of `consecutive5xxErrors`, of gateway errors. */
  readonly consecutiveErrors?: number;
  readonly interval?: string;
  readonly baseEjectionTime?: string;
  readonly maxEjectionPercent?: number;
  readonly minHealthPercent?: number;
}

export interface ClientTlsSettings {
  readonly mode?: string;
  readonly clientCertificate?: string;
  readonly privateKey?: string;
  readonly caCertificates?: string;
  readonly credentialName?: string;
  readonly subjectAltNames?: readonly string[];
  readonly sni?: string;
  readonly insecureSkipVerify?: boolean;
  readonly caCrl?: string;
}

export interface TrafficPolicySettings {
  readonly loadBalancer?: LoadBalancerSettings;
  readonly connectionPool?: ConnectionPoolSettings;
  readonly outlierDetection?: OutlierDetectionSettings;
  readonly tls?: ClientTlsSettings;
  readonly portLevelSettings?: readonly (Omit<TrafficPolicySettings, 'portLevelSettings'> & {
    readonly port?: { readonly number?: number };
  })[];
  readonly tunnel?: object;
  readonly proxyProtocol?: { readonly version?: string };
  readonly retryBudget?: { readonly percent?: number; readonly minRetryConcurrency?: number };
}

export interface DestinationRuleSubset {
  readonly name: string;
  readonly labels?: Labels;
  readonly trafficPolicy?: TrafficPolicySettings;
}

export interface DestinationRuleSpec {
  readonly host?: string;
  readonly trafficPolicy?: TrafficPolicySettings;
  readonly subsets?: readonly DestinationRuleSubset[];
  readonly exportTo?: readonly string[];
  readonly workloadSelector?: { readonly matchLabels?: Labels };
}

export interface DestinationRule extends KubeObject {
  readonly spec?: DestinationRuleSpec;
}

export const virtualServices: Resource<VirtualService> = {
  ...networking,
  kind: 'VirtualService',
  plural: 'virtualservices',
};

export const destinationRules: Resource<DestinationRule> = {
  ...networking,
  kind: 'DestinationRule',
  plural: 'destinationrules',
};
