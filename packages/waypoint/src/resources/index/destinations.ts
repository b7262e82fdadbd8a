/**
 * Which DestinationRules and the like apply to a port of a service or a subset of it, made into one.
 *
 * As Istio has it: rules of the waypoint's own namespace come before those of the service's, and those before the root
 * namespace's; among them the most specific hostname, then the oldest. Several rules for one hostname in one namespace
 * give their subsets together, and the oldest its policy. What other kinds (BackendTLSPolicy, …) say fills what is left.
 *
 * Files and Secrets of the waypoint are for rules of its own namespace and of the root namespace: what others write must not
 * speak with keys that are not theirs.
 */
import { type ServiceKey, splitServiceKey } from '@ambit/model/address';
import {
  type Destination,
  type DestinationPolicy,
  NO_TRAFFIC_POLICY,
  type Subset,
  type TrafficPolicy,
} from '../destination-policy.ts';
import { MAX_JOINED } from '../limits.ts';
import { byAge } from '../origin.ts';
import type { Touched } from '../store.ts';

/** The kind of object whose hostnames compete; all others add to what it says. */
const RULE_KIND = 'DestinationRule';

export class DestinationIndex {
  readonly #namespace: string;
  readonly #rootNamespace: () => string;
  readonly #byHostname = new Map<string, Set<DestinationPolicy>>();
  readonly #joined = new Map<ServiceKey, Map<string, Destination>>();
  #joinedCount = 0;

  /** @param namespace - The waypoint's. */
  constructor(namespace: string, rootNamespace: () => string) {
    this.#namespace = namespace;
    this.#rootNamespace = rootNamespace;
  }

  replace(
    held: DestinationPolicy | undefined,
    policy: DestinationPolicy | undefined,
    touched: Touched,
  ): void {
    if (held) {
      const policies = this.#byHostname.get(held.hostname);
      policies?.delete(held);
      if (policies?.size === 0) this.#byHostname.delete(held.hostname);
    }
    if (policy) {
      const policies = this.#byHostname.get(policy.hostname) ?? new Set();
      this.#byHostname.set(policy.hostname, policies.add(policy));
    }
    for (const service of [...this.#joined.keys()]) {
      const hostname = splitServiceKey(service)?.hostname ?? '';
      const concerns = [held, policy].some((one) => one && hostnameMatches(one.hostname, hostname));
      if (!concerns) continue;
      this.#joinedCount -= this.#joined.get(service)?.size ?? 0;
      this.#joined.delete(service);
      touched.destinations.add(service);
    }
  }

  clear(): void {
    this.#joined.clear();
    this.#joinedCount = 0;
  }

  for(service: ServiceKey, port: number, subset: string): Destination {
    const key = `${port} ${subset}`;
    const known = this.#joined.get(service)?.get(key);
    if (known) return known;
    if (this.#joinedCount >= MAX_JOINED) this.clear();
    const joined = this.#join(service, port, subset);
    const all = this.#joined.get(service) ?? new Map<string, Destination>();
    this.#joined.set(service, all.set(key, joined));
    this.#joinedCount += 1;
    return joined;
  }

  #join(service: ServiceKey, port: number, subsetName: string): Destination {
    const { namespace = '', hostname = '' } = splitServiceKey(service) ?? {};
    const applicable = [...this.#byHostname]
      .filter(([pattern]) => hostnameMatches(pattern, hostname))
      .flatMap(([, policies]) => [...policies])
      .filter(({ serviceNamespace }) => serviceNamespace === undefined || serviceNamespace === namespace);
    const rules = this.#chosenRules(applicable, namespace);
    const others = applicable
      .filter(({ origin }) => origin.kind !== RULE_KIND)
      .sort((a, b) => byAge(a.origin, b.origin));
    const subset = subsetName === '' ? undefined : subsetOf(rules, subsetName);
    // What a subset says of a port stands alone; what it says of all ports is filled by the destination's.
    const ofPort = subset?.ports.get(port);
    const below = ofPort ? others : [...rules.slice(0, 1), ...others];
    const layers = [
      subset ? this.#permitted(subset.rule, ofPort ?? subset.policy) : NO_TRAFFIC_POLICY,
      ...below.map((policy) => this.#permitted(policy, policy.ports.get(port) ?? policy.policy)),
    ];
    const used = [...rules, ...others];
    return {
      ...overlay(layers),
      service,
      port,
      workloads: subset?.workloads,
      unusable: unusable(used, subsetName, subset),
      from: used.map(({ name }) => name),
    };
  }

  /** @returns A policy that refuses in the place of one that uses what is not its own. */
  #permitted({ origin: { namespace } }: DestinationPolicy, policy: TrafficPolicy): TrafficPolicy {
    const { tls } = policy;
    if (!tls?.source || namespace === this.#namespace || namespace === this.#rootNamespace()) return policy;
    const unreadable =
      `files and Secrets of a waypoint are for DestinationRules of its own namespace (${this.#namespace}) or the root ` +
      `namespace, not of ${namespace}`;
    return { ...policy, tls: { ...tls, source: undefined, unreadable: tls.unreadable ?? unreadable } };
  }

  /** All for the best hostname in the first namespace that has any, from the oldest on. */
  #chosenRules(applicable: readonly DestinationPolicy[], namespace: string): readonly DestinationPolicy[] {
    const rules = applicable.filter(({ origin }) => origin.kind === RULE_KIND);
    for (const from of [this.#namespace, namespace, this.#rootNamespace()]) {
      const here = rules.filter(({ origin }) => origin.namespace === from);
      const best = here.reduce<DestinationPolicy | undefined>(
        (found, rule) => (found && specificity(found) >= specificity(rule) ? found : rule),
        undefined,
      );
      if (best) {
        return here
          .filter(({ hostname }) => hostname === best.hostname)
          .sort((a, b) => byAge(a.origin, b.origin));
      }
    }
    return [];
  }
}

/** `*` alone, or `*` and what the name must end with. */
function hostnameMatches(pattern: string, hostname: string): boolean {
  return pattern.startsWith('*') ? hostname.endsWith(pattern.slice(1)) : hostname === pattern;
}

function specificity({ hostname }: DestinationPolicy): number {
  return hostname.startsWith('*') ? hostname.length : Number.MAX_SAFE_INTEGER;
}

/** With the rule that has it. */
type FoundSubset = Subset & { readonly rule: DestinationPolicy };

function subsetOf(rules: readonly DestinationPolicy[], name: string): FoundSubset | undefined {
  for (const rule of rules) {
    const subset = rule.subsets.get(name);
    if (subset) return { ...subset, rule };
  }
  return undefined;
}

function unusable(
  used: readonly DestinationPolicy[],
  subsetName: string,
  subset: Subset | undefined,
): string | undefined {
  const broken = used.find(({ unreadable }) => unreadable !== undefined);
  if (broken) return `${broken.name} cannot be read: ${broken.unreadable}`;
  return subsetName !== '' && subset === undefined
    ? `no DestinationRule has a subset ${subsetName}`
    : undefined;
}

/** Of each part what the first layer says that says anything. */
function overlay(layers: readonly TrafficPolicy[]): TrafficPolicy {
  const first = <Part extends keyof TrafficPolicy>(part: Part): TrafficPolicy[Part] =>
    layers.find((layer) => layer[part] !== undefined)?.[part];
  return {
    loadBalancer: first('loadBalancer'),
    connectionPool: first('connectionPool'),
    outlierDetection: first('outlierDetection'),
    tls: first('tls'),
    healthCheck: first('healthCheck'),
    retryBudget: first('retryBudget'),
    proxyProtocol: first('proxyProtocol'),
  };
}
