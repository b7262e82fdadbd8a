/** Policies by key, and by the namespace that they bind; and those that could not be read, by what they bind. */
import type { WorkloadPolicies } from '../mesh.ts';
import type { Policy, UnreadablePolicy } from '../policy.ts';
import type { Workload } from '../workload.ts';

/** Where policies of scope Global are filed; no namespace has this name. */
const EVERYWHERE = '';

const NONE: WorkloadPolicies = { policies: [], missing: [] };

export class PolicyIndex {
  readonly byKey = new Map<string, Policy>();
  readonly #byNamespace = new Map<string, readonly Policy[]>();
  readonly #unreadable = new Map<string, UnreadablePolicy>();

  insert(policy: Policy): void {
    this.remove(policy.key);
    this.byKey.set(policy.key, policy);
    const namespace = namespaceOf(policy);
    if (namespace === undefined) return;
    this.#byNamespace.set(namespace, [...(this.#byNamespace.get(namespace) ?? []), policy]);
  }

  /** A policy that cannot be read; nothing if an older version of it could. */
  note(policy: UnreadablePolicy): void {
    if (!this.byKey.has(policy.key)) this.#unreadable.set(policy.key, policy);
  }

  remove(key: string): void {
    this.#unreadable.delete(key);
    const policy = this.byKey.get(key);
    if (!policy) return;
    this.byKey.delete(key);
    const namespace = namespaceOf(policy);
    if (namespace === undefined) return;
    const left = this.#byNamespace.get(namespace)?.filter((other) => other !== policy) ?? [];
    if (left.length > 0) this.#byNamespace.set(namespace, left);
    else this.#byNamespace.delete(namespace);
  }

  for(workload: Workload): WorkloadPolicies {
    const own = workload.namespace === EVERYWHERE ? undefined : this.#byNamespace.get(workload.namespace);
    const everywhere = this.#byNamespace.get(EVERYWHERE);
    const names = workload.authorizationPolicies;
    if (!own && !everywhere && names.length === 0 && this.#unreadable.size === 0) return NONE;
    const named = names.map((key) => this.byKey.get(key) ?? key);
    return {
      policies: [
        ...(own ?? []),
        ...(everywhere ?? []),
        ...named.filter((found) => typeof found !== 'string'),
      ],
      missing: [
        ...named.filter((found) => typeof found === 'string'),
        ...[...this.#unreadable.values()].filter((policy) => binds(policy, workload)).map(({ key }) => key),
      ],
    };
  }
}

/** Whether a policy binds a workload that does not name it. */
function binds(policy: UnreadablePolicy, workload: Workload): boolean {
  const namespace = namespaceOf(policy);
  return namespace === EVERYWHERE || (namespace !== undefined && namespace === workload.namespace);
}

function namespaceOf(policy: UnreadablePolicy): string | undefined {
  switch (policy.scope) {
    case 'Global':
      return EVERYWHERE;
    case 'Namespace':
      return policy.namespace;
    case 'WorkloadSelector':
      return undefined;
    default:
      return policy.scope satisfies never;
  }
}
