/** What becomes of a request, with everything that whoever carries it out must know. */
import type {
  Cors,
  DirectResponse,
  HttpFilters,
  RetryPolicy,
  SessionPersistence,
} from '../resources/http-route.ts';
import type { Authorizer } from '../resources/authorizer.ts';
import type { ServicePort } from '../resources/service-port.ts';

export type RouteDecision = Forward | Redirected | Responded;

/** Which rule decided, for logs, metrics and explanations. */
export interface RouteName {
  /** `KIND/namespace/name`; empty where no route has the service as its parent. */
  readonly route: string;
  /** As the user named it; empty otherwise. */
  readonly rule: string;
  /** Of the rule in its route, from 0. */
  readonly ruleIndex: number;
  /** A VirtualService's name of the match; empty otherwise. */
  readonly match: string;
}

/** As records have it: '' where no route decided. */
export function routeText({ route, rule }: RouteName): string {
  return rule === '' ? route : `${route}/${rule}`;
}

/** Where no route decided. */
export const NO_ROUTE: RouteName = { route: '', rule: '', ruleIndex: 0, match: '' };

/** Where a route leads, and whose it is. */
export interface Lead {
  readonly backend: BackendService;
  /** Of a consumer's route, that of its clients: the namespace of the service did not write it. */
  readonly consumerNamespace: string | undefined;
  /** Of whoever wrote the route; `undefined`: no route decided. */
  readonly authorNamespace: string | undefined;
}

/** A service that a route has asked about its requests. */
export type RouteAuthorizer =
  | (Lead & { readonly kind: 'service'; readonly authorizer: Authorizer })
  /** One that is not there: nobody is asked, and the request gets this status. */
  | { readonly kind: 'status'; readonly status: number };

/** Goes to an endpoint of a service. `filters.ts` says what request and response look like then. */
export interface Forward extends Lead {
  readonly kind: 'forward';
  readonly name: RouteName;
  readonly filters: readonly HttpFilters[];
  /** To ask before anything else, in this order. */
  readonly authorizers: readonly RouteAuthorizer[];
  /** How much of the path the match took, for the prefix that a filter replaces. */
  readonly matchedPrefixLength: number;
  readonly timeouts: Timeouts;
  readonly retry: RetryPolicy;
  /** Without an answer for so long the request goes to a second endpoint as well. `undefined`: never. */
  readonly hedgeAfterMs: number | undefined;
  readonly session: SessionPersistence | undefined;
  readonly cors: Cors | undefined;
  readonly mirrors: readonly BackendService[];
  /** What to do before anything else. */
  readonly fault: DrawnFault | undefined;
}

export interface BackendService {
  readonly to: ServicePort;
  /** Empty: all endpoints. */
  readonly subset: string;
}

export interface Timeouts {
  /** To the end of the response. `undefined`: no limit. */
  readonly requestMs: number | undefined;
  /**
   * From when the request's head came, whatever was asked before it was sent (Gateway API: close to all of the transaction);
   * or from when all of it has come and been let through (VirtualService: Envoy's route timeout).
   */
  readonly requestFrom: 'first-byte' | 'last-byte';
  readonly perTryMs: number | undefined;
}

export interface Redirected {
  readonly kind: 'redirect';
  readonly name: RouteName;
  readonly status: number;
  readonly location: string;
  readonly filters: readonly HttpFilters[];
  /** As of a {@link Forward}. */
  readonly authorizers: readonly RouteAuthorizer[];
  readonly cors: Cors | undefined;
}

/** Answered here. */
export interface Responded {
  readonly kind: 'respond';
  readonly name: RouteName;
  readonly status: number;
  readonly body: DirectResponse['body'];
  readonly reason: RespondReason;
  /** One sentence for logs, empty when the user asked for the response. */
  readonly message: string;
  readonly filters: readonly HttpFilters[];
  readonly cors: Cors | undefined;
}

export type RespondReason =
  /** The user wrote so. */
  | 'direct-response'
  /** Routes exist, and none matches: 404. */
  | 'no-route'
  /** The rule has no backend, or none has weight: 500. */
  | 'no-backend'
  /** The backend that was drawn does not exist or may not be used. */
  | 'invalid-backend'
  /** The route, the rule or the policy could not be read: 500. */
  | 'unreadable'
  /** A regular expression may not be tried on so long a text: 400. */
  | 'undecidable';

/** A fault that the dice decided on. Both: the delay comes first. */
export interface DrawnFault {
  /** 0: none. */
  readonly delayMs: number;
  /** Answers instead of going on. A gRPC status is sent as trailers-only with HTTP 200. */
  readonly abort: { readonly kind: 'http' | 'grpc'; readonly status: number } | undefined;
}
