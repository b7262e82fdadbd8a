/**
 * An AuthorizationPolicy with targets as waypoints evaluate it. Pure.
 *
 * Everything goes out as the user wrote it: a waypoint sees requests. One that validation would have refused and that is
 * there all the same denies whatever it is attached to.
 */
import {
  AuthorizationAction,
  type AuthorizationCondition,
  type AuthorizationOperation,
  type AuthorizationPolicy as WirePolicy,
  type AuthorizationRule,
  type AuthorizationSource,
  type WaypointFields,
} from '@ambit/api/waypoint';
import type {
  AuthorizationPolicy,
  Operation,
  PolicyCondition,
  PolicyRule,
  Source,
} from '@ambit/kube/resources/security';
import { DRY_RUN_ANNOTATION, validateAuthorizationPolicy } from '../../validate/authorization-policy.ts';
import { originOf } from '../routes/translated.ts';
import type { Targets } from './targets.ts';
import { domainsUnderAllNames, principalsUnderAllNames, type TrustDomains } from './trust-domains.ts';

export function waypointAuthorization(
  policy: AuthorizationPolicy,
  targets: Targets,
  domains: TrustDomains,
): WaypointFields<WirePolicy> | undefined {
  const { metadata, spec = {} } = policy;
  const dryRun = metadata.annotations?.[DRY_RUN_ANNOTATION] === 'true';
  const shared = { origin: originOf('AuthorizationPolicy', policy), targets: targets.wire, dryRun };
  const { errors } = validateAuthorizationPolicy(policy, { l7WithoutWaypoint: 'istio' });
  // One that shall only be logged says nothing that could be.
  if (errors.length > 0) return dryRun ? undefined : { ...shared, unreadable: errors.join('; ') };
  return {
    ...shared,
    action: AuthorizationAction[(spec.action ?? 'ALLOW') as keyof typeof AuthorizationAction],
    provider: spec.provider?.name ?? '',
    rules: (spec.rules ?? []).map((rule) => translateRule(rule, metadata.namespace ?? '', domains)),
  };
}

function translateRule(
  { from = [], to = [], when = [] }: PolicyRule,
  namespace: string,
  domains: TrustDomains,
): WaypointFields<AuthorizationRule> {
  return {
    from: from.map(({ source = {} }) => translateSource(source, namespace, domains)),
    to: to.map(({ operation = {} }) => translateOperation(operation)),
    when: when.map((condition) => translateCondition(condition, namespace, domains)),
  };
}

function translateSource(
  source: Source,
  namespace: string,
  domains: TrustDomains,
): WaypointFields<AuthorizationSource> {
  const principals = (values: readonly string[] = []) => principalsUnderAllNames(values, domains);
  const trustDomains = (values: readonly string[] = []) => domainsUnderAllNames(values, domains);
  const accounts = (values: readonly string[] = []) => values.map((value) => accountOf(value, namespace));
  return {
    ...source,
    principals: principals(source.principals),
    notPrincipals: principals(source.notPrincipals),
    serviceAccounts: accounts(source.serviceAccounts),
    notServiceAccounts: accounts(source.notServiceAccounts),
    trustDomains: trustDomains(source.trustDomains),
    notTrustDomains: trustDomains(source.notTrustDomains),
  };
}

function translateOperation(operation: Operation): WaypointFields<AuthorizationOperation> {
  return operation;
}

function translateCondition(
  { key, values = [], notValues = [] }: PolicyCondition,
  namespace: string,
  domains: TrustDomains,
): WaypointFields<AuthorizationCondition> {
  const change = valuesOf(key, namespace, domains);
  return { key, values: change(values), notValues: change(notValues) };
}

function valuesOf(
  key: string,
  namespace: string,
  domains: TrustDomains,
): (values: readonly string[]) => readonly string[] {
  switch (key) {
    case 'source.principal':
      return (values) => principalsUnderAllNames(values, domains);
    case 'source.trustDomain':
      return (values) => domainsUnderAllNames(values, domains);
    case 'source.serviceAccount':
      return (values) => values.map((value) => accountOf(value, namespace));
    default:
      return (values) => values;
  }
}

/** `namespace/name`, or a name in `namespace`. */
function accountOf(value: string, namespace: string): string {
  return value.includes('/') ? value : `${namespace}/${value}`;
}
