/**
 * May a node's proxy have this workload's certificate? Only if the workload runs on its own node.
 *
 * The decision is pure. Around it, a request for a pod that we have not heard of yet waits a little: the node hears of
 * a new pod at the same time as we do, and a refusal would cost the pod's first connections.
 */
import type { Collection } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Scheduler } from '@ambit/collections/scheduler';
import type { Clock } from '@ambit/core/clock';
import { parseSpiffeId } from '@ambit/identity/spiffe-id';
import type { Pod } from '@ambit/kube/resources/core';
import { AuthenticationError } from '../errors.ts';
import { MAX_WAITING_REQUESTS, UNKNOWN_POD_WAIT_MS } from '../limits.ts';
import type { Caller } from './caller.ts';

/** `namespace/name` of a service account. */
export type AccountName = string;

export interface NodeAuthorizationOptions {
  readonly pods: Collection<string, Pod>;
  readonly scheduler: Scheduler;
  /** Whose pods may ask for others. */
  readonly trustedAccounts: ReadonlySet<AccountName>;
  readonly trustDomain: string;
  readonly clock: Clock;
}

export type Decision =
  | { readonly kind: 'allowed' }
  | { readonly kind: 'refused'; readonly reason: string }
  /** Refused by what is known so far; more may come. */
  | { readonly kind: 'unknown-pod'; readonly reason: string };

/** What is known of pods, as questions. */
export interface PodView {
  /** By `namespace/name`. */
  pod(key: string): Pod | undefined;
  /** Whether a pod with this service account (`namespace/name`) runs on the node. */
  runsOn(node: string, account: AccountName): boolean;
}

export function mayActFor(
  caller: Caller,
  identity: string,
  options: Pick<NodeAuthorizationOptions, 'trustedAccounts' | 'trustDomain'>,
  view: PodView,
): Decision {
  const refused = (reason: string): Decision => ({ kind: 'refused', reason });
  const wanted = parseSpiffeId(identity);
  if (!wanted) return refused(`not a SPIFFE identity: ${JSON.stringify(identity)}`);
  if (wanted.trustDomain !== options.trustDomain)
    return refused(`${identity} is not of trust domain ${options.trustDomain}`);
  const account = `${caller.namespace}/${caller.serviceAccount}`;
  if (!options.trustedAccounts.has(account))
    return refused(`${account} is not one of CA_TRUSTED_NODE_ACCOUNTS`);
  if (!caller.pod) return refused(`the token of ${account} is bound to no pod`);
  const own = view.pod(`${caller.namespace}/${caller.pod.name}`);
  if (!own || own.metadata.uid !== caller.pod.uid)
    return {
      kind: 'unknown-pod',
      reason: `there is no pod ${caller.namespace}/${caller.pod.name} with that uid`,
    };
  if ((own.spec?.serviceAccountName || 'default') !== caller.serviceAccount)
    return refused(`pod ${caller.pod.name} has another service account`);
  const node = own.spec?.nodeName;
  if (!node) return refused(`pod ${caller.pod.name} is on no node`);
  const target = `${wanted.namespace}/${wanted.serviceAccount}`;
  if (!view.runsOn(node, target))
    return { kind: 'unknown-pod', reason: `no pod of ${target} runs on node ${node}` };
  return { kind: 'allowed' };
}

export class NodeAuthorization {
  readonly #options: NodeAuthorizationOptions;
  readonly #byNodeAndAccount: IndexCollection<string, Pod>;
  readonly #view: PodView;
  #waiting = 0;

  constructor(options: NodeAuthorizationOptions) {
    const { pods, scheduler } = options;
    this.#options = options;
    this.#byNodeAndAccount = new IndexCollection({
      name: 'pods by node and account',
      scheduler,
      from: pods,
      keysOf: ({ metadata, spec, status }) =>
        spec?.nodeName && status?.phase !== 'Failed'
          ? [`${spec.nodeName}/${metadata.namespace ?? ''}/${spec.serviceAccountName || 'default'}`]
          : [],
    });
    this.#view = {
      pod: (key) => pods.get(key),
      runsOn: (node, account) => this.#byNodeAndAccount.has(`${node}/${account}`),
    };
  }

  /** @throws {@link AuthenticationError} with the reason, which is for the log and not for the caller. */
  readonly authorize = async (caller: Caller, identity: string): Promise<void> => {
    let decision = this.#decide(caller, identity);
    if (decision.kind === 'unknown-pod') decision = await this.#waitFor(caller, identity, decision);
    if (decision.kind !== 'allowed') throw new AuthenticationError(decision.reason);
  };

  #decide(caller: Caller, identity: string): Decision {
    return mayActFor(caller, identity, this.#options, this.#view);
  }

  #waitFor(caller: Caller, identity: string, sofar: Decision): Promise<Decision> {
    if (this.#waiting >= MAX_WAITING_REQUESTS) return Promise.resolve(sofar);
    this.#waiting += 1;
    return new Promise((resolve) => {
      const settle = (decision: Decision) => {
        this.#waiting -= 1;
        timer.cancel();
        subscription[Symbol.dispose]();
        resolve(decision);
      };
      const timer = this.#options.clock.after(UNKNOWN_POD_WAIT_MS, () =>
        settle(this.#decide(caller, identity)),
      );
      const subscription = this.#byNodeAndAccount.subscribe(() => {
        const decision = this.#decide(caller, identity);
        if (decision.kind !== 'unknown-pod') settle(decision);
      });
    });
  }
}
