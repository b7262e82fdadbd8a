/**
 * Tells of policies that change nothing: AUDIT, and those that are not enforced (`istio.io/dry-run`).
 *
 * Every match of an AUDIT policy is counted and logged. Of a dry run every verdict is counted, and logged where enforcing
 * it would have made a difference.
 */
import type { Logger } from '@ambit/core/log';
import type { Counter, MetricRegistry } from '@ambit/core/metrics';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { auditing, shadowVerdict } from '../decide/authorize.ts';
import { pathOnly } from '../decide/request-view.ts';
import { refusalOf, type Verdict } from '../decide/verdict.ts';
import type { BoundPolicies } from '../resources/snapshot.ts';

type Result = 'allowed' | 'denied';

export class PolicyReport {
  readonly #log: Logger;
  readonly #audited: Counter<'policy'>;
  readonly #dryRuns: Counter<'policy' | 'result' | 'enforced_result'>;

  constructor(registry: MetricRegistry, log: Logger) {
    this.#log = log;
    this.#audited = registry.counter({
      name: 'ambit_waypoint_audited',
      help: 'Requests and connections that an AUDIT policy matched',
      labels: ['policy'],
    });
    this.#dryRuns = registry.counter({
      name: 'ambit_waypoint_dry_run_verdicts',
      help: 'What policies would say of requests and connections if those that are not enforced were; the policy decides',
      labels: ['policy', 'result', 'enforced_result'],
    });
  }

  /** @param enforced - What was decided. */
  decided(policies: BoundPolicies, subject: AuthorizationSubject, enforced: Verdict): void {
    if (policies.audit.length > 0) this.#audit(policies, subject, enforced);
    const dryRun = shadowVerdict(policies, subject);
    if (dryRun) this.#dryRun(dryRun, enforced, subject);
  }

  #audit(policies: BoundPolicies, subject: AuthorizationSubject, enforced: Verdict): void {
    for (const { key } of auditing(policies, subject)) {
      this.#audited.inc({ policy: key });
      this.#log.info('audited', { policy: key, result: resultOf(enforced), ...fieldsOf(subject) });
    }
  }

  #dryRun(verdict: Verdict, enforced: Verdict, subject: AuthorizationSubject): void {
    const result = resultOf(verdict);
    const enforcedResult = resultOf(enforced);
    this.#dryRuns.inc({ policy: policyOf(verdict), result, enforced_result: enforcedResult });
    if (result === enforcedResult) return;
    const reason = refusalOf(verdict) ?? `allowed by: ${policyOf(verdict)}`;
    this.#log.info('a dry run decides otherwise', { result, reason, ...fieldsOf(subject) });
  }
}

function resultOf({ kind }: Verdict): Result {
  return kind === 'allow' ? 'allowed' : 'denied';
}

/** Which decides; `none` when no policy in particular does. */
function policyOf(verdict: Verdict): string {
  return verdict.kind === 'no-allow-matched' ? 'none' : (verdict.by ?? 'none');
}

function fieldsOf({ request, connection }: AuthorizationSubject) {
  return {
    source: connection.identity,
    method: request?.method,
    authority: request?.authority,
    path: request && pathOnly(request.path),
  };
}
