/**
 * Stands in for decisions and reports until theirs are here: nothing is let through where there is a policy that nobody could
 * evaluate yet.
 */
import { randomUUID } from 'node:crypto';
import type { BalancedEndpoint, Balancer, PickRequest } from './decide/balance/balancer.ts';
import type { AuthorizeConnection } from './decide/signatures.ts';
import type { Verdict } from './decide/verdict.ts';
import type { Decisions, Reporter, Security } from './exchange/context.ts';
import type { BoundPolicies } from './resources/snapshot.ts';

function authorized({ custom, deny, allow, unreadable }: BoundPolicies): Verdict {
  const [policy] = [...unreadable, ...custom, ...deny, ...allow];
  if (!policy) return { kind: 'allow', by: undefined };
  return { kind: 'unreadable', by: policy.key, problem: 'policies are not evaluated yet' };
}

export const INTERIM_AUTHORIZE_CONNECTION: AuthorizeConnection = (policies) => authorized(policies);

export const INTERIM_DECISIONS: Decisions = {
  normalizePath: (_mode, path) => ({ kind: 'path', path }),
  externalChecks: () => [],
  authorize: (policies) => authorized(policies),
  hashOf: () => ({ hash: undefined, setCookie: undefined }),
  decideRetry: (policy, { tries, outcome, bodyLost }) =>
    tries > policy.attempts || bodyLost || (outcome.kind !== 'connect-failure' && outcome.kind !== 'refused')
      ? { kind: 'give-up', reason: tries > policy.attempts ? 'no-attempts-left' : 'not-retriable' }
      : { kind: 'retry', backoffMs: policy.backoffMs },
};

export const INTERIM_SECURITY: Security = {
  authenticate: () => ({ kind: 'refuse', status: 503, reason: 'no authenticator', fields: [] }),
  check: () =>
    Promise.resolve({ kind: 'deny', status: 503, fields: [], body: new Uint8Array(0), failed: true }),
};

export const INTERIM_REPORTER: Reporter = {
  begin: (_config, { fields }) => {
    const at = fields.findIndex((name, i) => i % 2 === 0 && name === 'x-request-id');
    const requestId = (at >= 0 ? fields[at + 1] : undefined) ?? randomUUID();
    return {
      plan: { metrics: undefined, logs: [], tracing: undefined, problems: [] },
      requestId,
      fields: ['x-request-id', requestId],
      traceId: '',
      span: undefined,
    };
  },
  ended: () => undefined,
  connectionEnded: () => undefined,
};

/** The less loaded of two, drawn by weight. */
export class InterimBalancer<E extends BalancedEndpoint> implements Balancer<E> {
  readonly endpoints: readonly E[];

  constructor(endpoints: readonly E[]) {
    this.endpoints = endpoints;
  }

  pick({ avoid, random }: PickRequest<E>): E | undefined {
    const healthy = this.endpoints.filter(({ isHealthy, weight }) => isHealthy && weight > 0);
    const fresh = healthy.filter((endpoint) => !avoid.has(endpoint));
    const from = fresh.length > 0 ? fresh : healthy;
    const [a, b] = [draw(from, random), draw(from, random)];
    return a && b && b.activeRequests < a.activeRequests ? b : a;
  }
}

function draw<E>(from: readonly E[], random: () => number): E | undefined {
  return from[Math.floor(random() * from.length)];
}
