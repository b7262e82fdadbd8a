/**
 * HTTPRoute, GRPCRoute and the http part of a VirtualService: which requests go where, and what changes on the way.
 *
 * What the control plane or we could not read stands in `unreadable`, and answers 500 where it would have applied.
 */
import type { RetryWord } from '@ambit/api/waypoint';
import type { Authorizer } from './authorizer.ts';
import type { HeaderField } from './header-field.ts';
import type { Origin } from './origin.ts';
import type { RegexRewrite } from './regex-rewrite.ts';
import type { ServicePort } from './service-port.ts';
import type { NamedMatch, TextMatch } from './text-match.ts';
import type { LinearRegex } from '@ambit/core/linear-regex';

export interface HttpRoute {
  /** Of the xDS resource: `KIND/namespace/name`. */
  readonly name: string;
  readonly origin: Origin;
  /** The services whose requests it routes. */
  readonly parents: readonly ServicePort[];
  /**
   * A VirtualService: the first match wins, and it is asked only where no Gateway API route has the parent. Otherwise
   * the matches of all routes of a parent compete by specificity.
   */
  readonly inOrder: boolean;
  /** A GRPCRoute: other requests do not match. */
  readonly grpc: boolean;
  readonly rules: readonly HttpRule[];
  /** Why the object could not be read. */
  readonly unreadable: string | undefined;
  /** A consumer's route: for requests from this namespace alone, and over the producer's there. */
  readonly consumerNamespace: string | undefined;
  /** A request without an answer for so long is sent to a second endpoint beside the first. `undefined`: never. */
  readonly hedgeAfterMs: number | undefined;
}

export interface HttpRule {
  /** As the user named it; empty otherwise. */
  readonly name: string;
  /** Any of them; none: every request. */
  readonly matches: readonly HttpMatch[];
  readonly filters: HttpFilters;
  readonly backends: readonly HttpBackend[];
  /** From the first byte of the request to the last of the response. `undefined`: no limit. */
  readonly requestTimeoutMs: number | undefined;
  /** The same for one try. */
  readonly backendRequestTimeoutMs: number | undefined;
  /** `undefined`: the mesh's default, which is not "none". */
  readonly retry: RetryPolicy | undefined;
  readonly session: SessionPersistence | undefined;
  readonly fault: Fault | undefined;
  readonly unreadable: string | undefined;
}

/** All of its parts. */
export interface HttpMatch {
  /** `undefined`: every path. */
  readonly path: PathMatch | undefined;
  readonly method: TextMatch | undefined;
  readonly headers: readonly NamedMatch[];
  /** None of them may match. */
  readonly withoutHeaders: readonly NamedMatch[];
  readonly queryParameters: readonly NamedMatch[];
  readonly scheme: TextMatch | undefined;
  readonly authority: TextMatch | undefined;
  /** Of the client. `undefined`: any. */
  readonly sourceNamespace: string | undefined;
  /** Of the service. 0: any. */
  readonly port: number;
  /** A VirtualService's name of the match, for logs; empty otherwise. */
  readonly name: string;
}

export type PathMatch =
  | PlainPathMatch<'exact'>
  /** `/a` matches `/a` and `/a/b`, never `/ab`; kept without a slash at its end. */
  | PlainPathMatch<'segment-prefix'>
  | PlainPathMatch<'text-prefix'>
  | { readonly kind: 'regex'; readonly regex: LinearRegex };

interface PlainPathMatch<Kind extends string> {
  readonly kind: Kind;
  /** In lower case when `ignoreCase`. */
  readonly path: string;
  readonly ignoreCase: boolean;
}

/** In the order of the user within each kind; the kinds are applied in the order of the Gateway API. */
export interface HttpFilters {
  readonly requestHeaders: readonly HeaderChange[];
  readonly responseHeaders: readonly HeaderChange[];
  readonly mirrors: readonly Mirror[];
  readonly cors: Cors | undefined;
  readonly rewrite: Rewrite | undefined;
  readonly redirect: Redirect | undefined;
  readonly directResponse: DirectResponse | undefined;
  /** Is asked before anything else of the rule counts but its cors. */
  readonly externalAuth: ExternalAuth | undefined;
}

export const NO_FILTERS: HttpFilters = {
  requestHeaders: [],
  responseHeaders: [],
  mirrors: [],
  cors: undefined,
  rewrite: undefined,
  redirect: undefined,
  directResponse: undefined,
  externalAuth: undefined,
};

export interface HeaderChange {
  readonly set: readonly HeaderField[];
  readonly add: readonly HeaderField[];
  readonly remove: readonly string[];
}

export type PathChange =
  | { readonly kind: 'replace-full'; readonly path: string }
  /** Of the prefix that matched. */
  | { readonly kind: 'replace-prefix'; readonly path: string }
  | { readonly kind: 'regex'; readonly rewrite: RegexRewrite };

export interface Rewrite {
  readonly hostname: string | undefined;
  readonly path: PathChange | undefined;
}

export interface Redirect {
  readonly scheme: 'http' | 'https' | undefined;
  readonly hostname: string | undefined;
  readonly path: PathChange | undefined;
  /** 0: derived as the Gateway API says. */
  readonly port: number;
  readonly status: number;
  /** A VirtualService's FROM_REQUEST_PORT. */
  readonly portFromRequest: boolean;
}

export interface Mirror {
  readonly target: ServicePort;
  readonly subset: string;
  /** The share of requests that is mirrored, from 0 to 1. */
  readonly share: number;
}

export interface Cors {
  readonly allowOrigins: readonly TextMatch[];
  /** Every origin is among them. */
  readonly allowsAnyOrigin: boolean;
  readonly allowCredentials: boolean;
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** 0: the header is not sent. */
  readonly maxAgeS: number;
  readonly forwardUnmatchedPreflights: boolean;
}

export interface DirectResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

export type ExternalAuth =
  | { readonly kind: 'service'; readonly to: ServicePort; readonly authorizer: Authorizer }
  /** Does not exist or may not be used: every request gets this status. */
  | { readonly kind: 'status'; readonly status: number };

export interface HttpBackend {
  readonly target:
    | { readonly kind: 'service'; readonly to: ServicePort; readonly subset: string }
    /** Does not exist or may not be used: its share of requests gets this status. */
    | { readonly kind: 'status'; readonly status: number };
  readonly weight: number;
  readonly filters: HttpFilters;
}

export interface RetryPolicy {
  /** Tries after the first. 0: none. */
  readonly attempts: number;
  /** What each means is in decide/retry.ts. */
  readonly retryOn: ReadonlySet<RetryWord>;
  readonly statusCodes: ReadonlySet<number>;
  /** `undefined`: the rule's `backendRequestTimeoutMs`. */
  readonly perTryTimeoutMs: number | undefined;
  /** Before the first retry; doubled for each further one, up to ten times this. */
  readonly backoffMs: number;
  /** The user chose it, so it is the least wait. Otherwise the wait is drawn from 0 to it. */
  readonly backoffIsLeast: boolean;
  readonly otherLocalities: boolean;
  readonly ignorePreviousHosts: boolean;
  /** Per cent of requests under way that may be retries at a time. */
  readonly budgetPercent: number;
  /** Retries a second that the budget always allows. */
  readonly budgetMinPerSecond: number;
}

/** Where a route says nothing of retries. Istio's. */
export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 2,
  retryOn: new Set(['connect-failure', 'refused-stream', 'unavailable', 'cancelled']),
  statusCodes: new Set(),
  perTryTimeoutMs: undefined,
  backoffMs: 25,
  backoffIsLeast: false,
  otherLocalities: false,
  ignorePreviousHosts: true,
  budgetPercent: 20,
  budgetMinPerSecond: 10,
};

export interface SessionPersistence {
  /** Of the cookie or the header; a header's in lower case. */
  readonly name: string;
  readonly kind: 'cookie' | 'header';
  readonly absoluteTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  /** The cookie lives until the absolute timeout; otherwise as long as the browser's session. */
  readonly permanentCookie: boolean;
  readonly cookiePath: string;
}

export interface Fault {
  /** The share of requests that wait, from 0 to 1. */
  readonly delayShare: number;
  readonly delayMs: number;
  readonly abortShare: number;
  /** What an aborted request is answered with: an HTTP status, or a gRPC status. */
  readonly abort:
    | { readonly kind: 'http'; readonly status: number }
    | { readonly kind: 'grpc'; readonly status: number }
    | undefined;
}
