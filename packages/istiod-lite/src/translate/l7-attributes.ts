/**
 * Which parts of a policy ztunnel cannot evaluate: it sees connections, not requests.
 *
 * One list for validation, translation and status, so that the three cannot disagree.
 */
import type { Operation, PolicyRule, Source } from '@ambit/kube/resources/security';

const L7_OPERATION = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;
const L7_SOURCE = [
  'remoteIpBlocks',
  'notRemoteIpBlocks',
  'requestPrincipals',
  'notRequestPrincipals',
] as const;
/** Not of HTTP, but ztunnel's policies have no field for them either. */
const TRUST_DOMAINS = ['trustDomains', 'notTrustDomains'] as const;

/** The keys of `when` that speak of connections. */
const L4_KEYS = [
  'source.ip',
  'source.namespace',
  'source.principal',
  'destination.ip',
  'destination.port',
] as const;
export type L4Key = (typeof L4_KEYS)[number];

export function isL4Key(key: string): key is L4Key {
  return (L4_KEYS as readonly string[]).includes(key);
}

export function unsupportedInOperation(operation: Operation): readonly string[] {
  return L7_OPERATION.filter((name) => (operation[name]?.length ?? 0) > 0);
}

/** @param trustDomains - Whether to count trust domains, which Istio silently drops. */
export function unsupportedInSource(source: Source, trustDomains: boolean): readonly string[] {
  const names = trustDomains ? [...L7_SOURCE, ...TRUST_DOMAINS] : L7_SOURCE;
  return names.filter((name) => (source[name]?.length ?? 0) > 0);
}

/** Everything in a rule that needs a waypoint, by name, sorted. */
export function unsupportedInRule(rule: PolicyRule, trustDomains: boolean): readonly string[] {
  const found = [
    ...(rule.to ?? []).flatMap(({ operation }) => unsupportedInOperation(operation ?? {})),
    ...(rule.from ?? []).flatMap(({ source }) => unsupportedInSource(source ?? {}, trustDomains)),
    ...(rule.when ?? []).map(({ key }) => key).filter((key) => !isL4Key(key)),
  ];
  return [...new Set(found)].sort();
}
