/** Services that authorize requests, as providers of the mesh's settings and filters of routes describe them. */
import type { HeaderField } from './header-field.ts';

export type Authorizer = ExtAuthzHttp | ExtAuthzGrpc;

/** What both kinds of external authorization have. */
interface ExtAuthz {
  /** `hostname` or `namespace/hostname`, as the user wrote it; of a route: the latter. */
  readonly service: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** A request passes when nobody answers. */
  readonly failOpen: boolean;
  /** What a request is answered with when nobody answers. */
  readonly statusOnError: number;
  /** How much of the body is sent along. 0: nothing. */
  readonly maxRequestBytes: number;
  /** A longer body is cut there; otherwise such a request gets 413. */
  readonly allowPartialMessage: boolean;
  /**
   * Names, or a prefix or suffix with `*`; in lower case. Over HTTP besides those that always go; over gRPC all headers go
   * where there is no name.
   */
  readonly includeRequestHeadersInCheck: readonly string[];
}

export interface ExtAuthzHttp extends ExtAuthz {
  readonly kind: 'ext-authz-http';
  readonly pathPrefix: string;
  readonly includeAdditionalHeadersInCheck: readonly HeaderField[];
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnDeny: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
}

export interface ExtAuthzGrpc extends ExtAuthz {
  readonly kind: 'ext-authz-grpc';
  readonly packAsBytes: boolean;
}
