/**
 * Whether a workload's policies let a connection through: when it opens, and again whenever anything changes.
 *
 * Deny wins; where an enforced allow policy exists one of them must match; else all is allowed. A policy that the
 * workload names and that has not arrived is never treated as absent: unless a deny decides first, the verdict is
 * `missing`, and the caller waits for it for a while and then refuses (or was told to ignore it).
 */
import type { Endpoint } from '@ambit/core/ip';
import type { MeshView } from '../mesh.ts';
import type { Workload } from '../workload.ts';

/** The connection, as policies see it. */
export interface AuthorizationRequest {
  /** `spiffe://…` that the peer proved; `undefined` for plaintext. */
  readonly identity: string | undefined;
  /** Address of the TCP peer: the client, or the waypoint or gateway before this proxy. */
  readonly sourceIp: string;
  /** Where the connection goes in the end; the port is the application's, never 15008. */
  readonly destination: Endpoint;
}

export type Verdict =
  /** `by` is the allow policy that matched; `undefined` when no enforced allow policy binds the workload. */
  | { readonly kind: 'allow'; readonly by: string | undefined }
  | { readonly kind: 'deny'; readonly by: string }
  /** Enforced allow policies bind the workload and none of them matched. */
  | { readonly kind: 'no-allow-matched' }
  | { readonly kind: 'missing'; readonly policies: readonly string[] };

export interface AuthorizeOptions {
  /** What a policy that has not arrived means. `ignore` is Istio's way: as if it were not named. */
  readonly missingPolicy: 'refuse' | 'ignore';
}

export type Authorize = (
  mesh: MeshView,
  workload: Workload,
  request: AuthorizationRequest,
  options: AuthorizeOptions,
) => Verdict;
