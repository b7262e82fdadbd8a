/**
 * What became of each AuthorizationPolicy, in its status: condition `ZtunnelAccepted`, written when it differs.
 *
 * Written by server-side apply under a field manager of its own, which is what removes it again when it no longer
 * applies. Several replicas write the same, so none needs to lead.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import type { Condition } from '@ambit/kube/resources/core';
import { type AuthorizationPolicy, authorizationPolicies } from '@ambit/kube/resources/security';
import { KeyedWorker } from '../keyed-worker.ts';
import type { Acceptance, TranslatedPolicy } from '../translate/authorization-policy.ts';

export const FIELD_MANAGER = 'istio-ambient-ztunnel-policy';
const TYPE = 'ZtunnelAccepted';

/** The condition that `acceptance` calls for, or `undefined` when `current` says so already. Pure. */
export function wantedCondition(
  acceptance: Acceptance,
  current: Condition | undefined,
  generation: number | undefined,
  now: string,
): Condition | undefined {
  const status = acceptance.accepted ? 'True' : 'False';
  const { reason, message } = acceptance;
  const same =
    current?.status === status &&
    current.reason === reason &&
    current.message === message &&
    current.observedGeneration === generation;
  if (same) return undefined;
  return {
    type: TYPE,
    status,
    reason,
    message,
    ...(generation !== undefined && { observedGeneration: generation }),
    lastTransitionTime: current?.status === status ? (current.lastTransitionTime ?? now) : now,
  };
}

export interface PolicyStatusOptions {
  readonly client: KubeClient;
  readonly policies: Collection<string, AuthorizationPolicy>;
  readonly translated: Collection<string, TranslatedPolicy>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class PolicyStatus implements AsyncDisposable {
  readonly #options: PolicyStatusOptions;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: PolicyStatusOptions) {
    const { policies, translated, clock, random } = options;
    this.#options = options;
    const work = (key: string, signal: AbortSignal) => this.#write(key, signal);
    const log = options.log.scope('status');
    this.#worker = this.#scope.use(new KeyedWorker({ name: 'policy status', work, clock, random, log }));
    const look = (events: readonly { readonly key: string }[]) => {
      for (const { key } of events) this.#look(key);
    };
    // Also when only the object changed: somebody may have edited the status.
    this.#scope.use(policies.subscribe(look));
    this.#scope.use(translated.subscribe(look));
    for (const key of translated.keys()) this.#look(key);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(key: string): void {
    if (this.#wanted(key)) this.#worker.add(key);
  }

  #wanted(key: string): readonly Condition[] | undefined {
    const policy = this.#options.policies.get(key);
    const translated = this.#options.translated.get(key);
    if (!policy || !translated) return undefined;
    const current = policy.status?.conditions?.find(({ type }) => type === TYPE);
    if (!translated.acceptance) return current ? [] : undefined;
    const now = new Date(this.#options.clock.now()).toISOString();
    const condition = wantedCondition(translated.acceptance, current, translated.generation, now);
    return condition && [condition];
  }

  async #write(key: string, signal: AbortSignal): Promise<void> {
    const conditions = this.#wanted(key);
    const metadata = this.#options.policies.get(key)?.metadata;
    if (!conditions || !metadata) return;
    const { name, namespace } = metadata;
    const body = {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name, namespace },
      status: { conditions },
    };
    const patch = { type: 'apply', body, force: true } as const;
    const options = { fieldManager: FIELD_MANAGER, subresource: 'status' };
    try {
      await this.#options.client.patch(authorizationPolicies, { name, namespace }, patch, options, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
