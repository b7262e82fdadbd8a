/**
 * Whether a workload's policies let a connection through: when it opens, and again whenever anything changes.
 *
 * Deny wins; where an enforced allow policy exists one of them must match; else all is allowed. A policy that the
 * workload names and that has not arrived, or that binds it and cannot be read, is never treated as absent: unless a deny decides first, the verdict is
 * `missing`, and the caller waits for it for a while and then refuses (or was told to ignore it).
 */
import type { Endpoint } from '@ambit/core/ip';
import type { MeshView, WorkloadPolicies } from '../mesh.ts';
import type { Policy } from '../policy.ts';
import type { Workload } from '../workload.ts';
import { type Facts, factsOf, matchingRule } from './match.ts';

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

const UNBOUND: Verdict = { kind: 'allow', by: undefined };

export interface AuthorizeOptions {
  /** What a policy means that has not arrived or cannot be read. `ignore` is Istio's way: as if there were none. */
  readonly missingPolicy: 'refuse' | 'ignore';
}

export function authorize(
  mesh: MeshView,
  workload: Workload,
  request: AuthorizationRequest,
  options: AuthorizeOptions,
): Verdict {
  const bound = mesh.policiesFor(workload);
  // Taking a connection apart costs more than this whole question does where nothing binds the workload.
  if (bound.policies.length === 0 && bound.missing.length === 0) return UNBOUND;
  return verdictOf(bound, factsOf(request.identity, request.sourceIp, request.destination), options);
}

/** The verdict alone; {@link authorize} and the explanation both end here. */
export function verdictOf(bound: WorkloadPolicies, facts: Facts, options: AuthorizeOptions): Verdict {
  const deny = firstMatching(bound.policies, 'Deny', facts);
  if (deny) return { kind: 'deny', by: deny.key };
  if (bound.missing.length > 0 && options.missingPolicy === 'refuse') {
    return { kind: 'missing', policies: bound.missing };
  }
  const allow = firstMatching(bound.policies, 'Allow', facts);
  if (allow) return { kind: 'allow', by: allow.key };
  const allowExists = bound.policies.some((policy) => policy.action === 'Allow' && !policy.dryRun);
  return allowExists ? { kind: 'no-allow-matched' } : { kind: 'allow', by: undefined };
}

/** Why a verdict refuses, in the words of access logs; `undefined` when it allows. */
export function refusalOf(verdict: Verdict): string | undefined {
  switch (verdict.kind) {
    case 'allow':
      return undefined;
    case 'deny':
      return `explicitly denied by: ${verdict.by}`;
    case 'no-allow-matched':
      return 'allow policies exist, but none allowed';
    case 'missing':
      return `policies have not arrived or cannot be read: ${verdict.policies.join(', ')}`;
    default:
      return verdict satisfies never;
  }
}

/** Keys of the policies by which `verdict` refuses, where those that allow somebody else count too; none when it allows. */
export function refusingPolicies(mesh: MeshView, workload: Workload, verdict: Verdict): readonly string[] {
  switch (verdict.kind) {
    case 'allow':
      return [];
    case 'deny':
      return [verdict.by];
    case 'no-allow-matched':
      return mesh
        .policiesFor(workload)
        .policies.filter(({ action, dryRun }) => action === 'Allow' && !dryRun)
        .map(({ key }) => key);
    case 'missing':
      return verdict.policies;
    default:
      return verdict satisfies never;
  }
}

function firstMatching(
  policies: readonly Policy[],
  action: Policy['action'],
  facts: Facts,
): Policy | undefined {
  return policies.find(
    (policy) => policy.action === action && !policy.dryRun && matchingRule(policy, facts) >= 0,
  );
}
