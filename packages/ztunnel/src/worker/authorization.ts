/** What policy says to a connection now, and the wait for policies that a workload names and that are on their way. */
import {
  authorize,
  type AuthorizationRequest,
  refusalOf,
  refusingPolicies,
  type Verdict,
} from '@ambit/model/decide/authorize';
import type { Workload } from '@ambit/model/workload';
import { PolicyRejectionError } from './errors.ts';
import { MISSING_POLICY_WAIT_MS } from './limits.ts';
import type { Pod } from './pod.ts';

/** Why the connection is refused, `undefined` if it is not; at once unless a policy is awaited. */
export function authorizeInTime(
  pod: Pod,
  local: Workload,
  request: AuthorizationRequest,
): PolicyRejectionError | undefined | Promise<PolicyRejectionError | undefined> {
  const now = ask(pod, local, request);
  if (now.kind !== 'missing') return told(pod, local, request, now);
  const current = () => pod.workload ?? local;
  const again = () => ask(pod, current(), request);
  const hasArrived = () => (again().kind === 'missing' ? undefined : true);
  // Asked once more after the wait: whatever else came in the same turn counts too, and nobody asks again before.
  return pod.worker.meshWaits
    .until(hasArrived, MISSING_POLICY_WAIT_MS)
    .then(() => told(pod, current(), request, again()));
}

/** Of a connection that is open. `unknown`: policies are on their way. `policies`: keys of those, or of those that refuse. */
export type Standing =
  | { readonly kind: 'allowed' }
  | { readonly kind: 'refused' | 'unknown'; readonly policies: readonly string[] };

export const ALLOWED: Standing = { kind: 'allowed' };

/** What policy, as it is now, says of a connection that is open. */
export function standing(pod: Pod, local: Workload, request: AuthorizationRequest): Standing {
  const verdict = ask(pod, local, request);
  if (verdict.kind === 'allow') return ALLOWED;
  const policies = refusingPolicies(pod.worker.mesh, local, verdict);
  return { kind: verdict.kind === 'missing' ? 'unknown' : 'refused', policies };
}

function ask(pod: Pod, local: Workload, request: AuthorizationRequest): Verdict {
  const { mesh, options } = pod.worker;
  return authorize(mesh, local, request, options);
}

function told(
  pod: Pod,
  local: Workload,
  request: AuthorizationRequest,
  verdict: Verdict,
): PolicyRejectionError | undefined {
  const refusal = refusalOf(verdict);
  const { verdictLog, options } = pod.worker;
  const level = options.logVerdictsAtInfo ? 'info' : 'debug';
  if (verdictLog.enabled(level)) {
    verdictLog[level](refusal === undefined ? 'allowed' : 'refused', {
      workload: local.uid,
      source: request.identity ?? request.sourceIp,
      port: request.destination.port,
      by: refusal ?? ('by' in verdict ? (verdict.by ?? 'no allow policies') : ''),
    });
  }
  if (refusal === undefined) return undefined;
  return new PolicyRejectionError(refusal, refusingPolicies(pod.worker.mesh, local, verdict));
}
