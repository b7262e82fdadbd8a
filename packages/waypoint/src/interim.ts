/**
 * Stands in for decisions until theirs are here: nothing is let through where nobody could be asked yet.
 */
import type { BalancedEndpoint, Balancer, PickRequest } from './decide/balance/balancer.ts';
import type { Decisions, Security } from './exchange/context.ts';

export const INTERIM_DECISIONS: Decisions = {
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
