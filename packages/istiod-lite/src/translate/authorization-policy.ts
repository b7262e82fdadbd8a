/**
 * A user's AuthorizationPolicy as ztunnel's Authorization, and what to tell the user about it.
 *
 * ztunnel sees no HTTP. An ALLOW rule that speaks of HTTP is left out, so the policy allows less. In a DENY rule what
 * ztunnel cannot see is taken to match, so the policy denies more, until a waypoint can look closer; with `istio` it is
 * dropped as Istio drops it, which may leave a rule without effect. A policy that validation would have refused and
 * that is there all the same refuses everything it is attached to: nothing here fails open.
 */
import {
  Action,
  type Authorization,
  type Clause,
  createAuthorization,
  createMatch,
  type Match,
  type Rule,
  Scope,
} from '@ambit/api/authorization';
import type { Labels } from '@ambit/kube/label-selector';
import type {
  AuthorizationPolicy,
  Operation,
  PolicyCondition,
  PolicyRule,
  Source,
} from '@ambit/kube/resources/security';
import { DRY_RUN_ANNOTATION, validateAuthorizationPolicy } from '../validate/authorization-policy.ts';
import { isL4Key, unsupportedInOperation, unsupportedInRule, unsupportedInSource } from './l7-attributes.ts';
import { addressMatches, portMatches, serviceAccountMatches, stringMatches } from './matchers.ts';
import { targetsOf } from './policy-targets.ts';
import { readableLabels } from './readable-labels.ts';

/** What a policy that needs a waypoint means where there is none. */
export type L7WithoutWaypoint = 'deny' | 'istio' | 'refuse';

export interface PolicySettings {
  readonly rootNamespace: string;
  readonly l7WithoutWaypoint: L7WithoutWaypoint;
  /** Whether ztunnels are sent policies that shall only be logged. */
  readonly dryRun: boolean;
}

/** What the status of the policy says about ztunnel. */
export interface Acceptance {
  readonly accepted: boolean;
  readonly reason: 'Accepted' | 'UnsupportedValue' | 'Invalid';
  readonly message: string;
}

export interface TranslatedPolicy {
  /** Absent: nothing is sent. */
  readonly authorization: Authorization | undefined;
  /** Which workloads name the policy; absent for one of a namespace or of the mesh. */
  readonly labels: Labels | undefined;
  /** Absent: the policy is not ztunnel's business. */
  readonly acceptance: Acceptance | undefined;
  /** Of the object that this was made from. */
  readonly generation: number | undefined;
}

export function translateAuthorizationPolicy(
  policy: AuthorizationPolicy,
  settings: PolicySettings,
): TranslatedPolicy {
  return { ...translate(policy, settings), generation: policy.metadata.generation };
}

type Translation = Omit<TranslatedPolicy, 'generation'>;

function translate(policy: AuthorizationPolicy, settings: PolicySettings): Translation {
  const { spec = {}, metadata } = policy;
  const dryRun = metadata.annotations?.[DRY_RUN_ANNOTATION] === 'true';
  if (dryRun && !settings.dryRun) return notSent('ztunnel does not support dry-run policies');
  // One with a selector as well is invalid, and refuses what the selector selects.
  if (targetsOf(spec).length > 0 && spec.selector === undefined)
    return { authorization: undefined, labels: undefined, acceptance: undefined };
  const { errors } = validateAuthorizationPolicy(policy, { l7WithoutWaypoint: 'istio' });
  if (errors.length > 0) return refusingAll(policy, settings, dryRun, errors);
  const action = spec.action ?? 'ALLOW';
  if (action !== 'ALLOW' && action !== 'DENY')
    return notSent(`ztunnel does not support the ${action} action`);
  const rules = (spec.rules ?? []).flatMap((rule) =>
    translateRule(rule, action, metadata.namespace ?? '', settings),
  );
  return {
    authorization: authorizationOf(policy, settings, dryRun, action, rules),
    labels: spec.selector && (spec.selector.matchLabels ?? {}),
    acceptance: acceptanceOf(spec.rules ?? [], action, settings),
  };
}

function notSent(message: string): Translation {
  return {
    authorization: undefined,
    labels: undefined,
    acceptance: { accepted: false, reason: 'UnsupportedValue', message },
  };
}

function refusingAll(
  policy: AuthorizationPolicy,
  settings: PolicySettings,
  dryRun: boolean,
  errors: readonly string[],
): Translation {
  const action = policy.spec?.action === 'DENY' ? 'DENY' : 'ALLOW';
  const rules: readonly Rule[] = action === 'DENY' ? [{ clauses: [] }] : [];
  // A selector that cannot be read makes the policy count for its whole namespace.
  const labels = readableLabels(policy.spec?.selector?.matchLabels);
  return {
    authorization: authorizationOf(policy, settings, dryRun, action, rules, labels !== undefined),
    labels,
    acceptance: {
      accepted: false,
      reason: 'Invalid',
      message: `the policy is invalid and refuses everything it is attached to: ${errors.join('; ')}`,
    },
  };
}

function authorizationOf(
  { metadata, spec }: AuthorizationPolicy,
  settings: PolicySettings,
  dryRun: boolean,
  action: 'ALLOW' | 'DENY',
  rules: readonly Rule[],
  selected = spec?.selector !== undefined,
): Authorization {
  const global = metadata.namespace === settings.rootNamespace;
  return createAuthorization({
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    scope: selected ? Scope.WORKLOAD_SELECTOR : global ? Scope.GLOBAL : Scope.NAMESPACE,
    action: Action[action],
    rules,
    dryRun,
  });
}

/** No rule, if it can never match what ztunnel sees. */
function translateRule(
  rule: PolicyRule,
  action: 'ALLOW' | 'DENY',
  namespace: string,
  { l7WithoutWaypoint }: PolicySettings,
): readonly Rule[] {
  const asIstio = l7WithoutWaypoint === 'istio';
  if (action === 'ALLOW' && unsupportedInRule(rule, !asIstio).length > 0) return [];
  const alternatives = (parts: readonly Part[]): readonly Clause[] => {
    // In a DENY rule, an alternative of which nothing is left but what cannot be seen matches whatever comes.
    const open = !asIstio && parts.some(({ match, unsupported }) => unsupported && isEmpty(match));
    return parts.length === 0 || open ? [] : [{ matches: parts.map(({ match }) => match) }];
  };
  const clauses = [
    ...alternatives((rule.to ?? []).map(({ operation = {} }) => operationPart(operation))),
    ...alternatives((rule.from ?? []).map(({ source = {} }) => sourcePart(source, namespace, !asIstio))),
    ...(rule.when ?? []).flatMap((condition) => alternatives([conditionPart(condition)])),
  ];
  return [{ clauses }];
}

interface Part {
  readonly match: Match;
  /** Whether something of the part has no place in `match`. */
  readonly unsupported: boolean;
}

function operationPart(operation: Operation): Part {
  const match = createMatch({
    destinationPorts: portMatches(operation.ports),
    notDestinationPorts: portMatches(operation.notPorts),
  });
  return { match, unsupported: unsupportedInOperation(operation).length > 0 };
}

function sourcePart(source: Source, namespace: string, trustDomains: boolean): Part {
  const match = createMatch({
    sourceIps: addressMatches(source.ipBlocks),
    notSourceIps: addressMatches(source.notIpBlocks),
    namespaces: stringMatches(source.namespaces),
    notNamespaces: stringMatches(source.notNamespaces),
    serviceAccounts: serviceAccountMatches(source.serviceAccounts, namespace),
    notServiceAccounts: serviceAccountMatches(source.notServiceAccounts, namespace),
    principals: stringMatches(source.principals),
    notPrincipals: stringMatches(source.notPrincipals),
  });
  return { match, unsupported: unsupportedInSource(source, trustDomains).length > 0 };
}

function conditionPart({ key, values, notValues }: PolicyCondition): Part {
  if (!isL4Key(key)) return { match: createMatch({}), unsupported: true };
  switch (key) {
    case 'source.ip':
      return supported({ sourceIps: addressMatches(values), notSourceIps: addressMatches(notValues) });
    case 'source.namespace':
      return supported({ namespaces: stringMatches(values), notNamespaces: stringMatches(notValues) });
    case 'source.principal':
      return supported({ principals: stringMatches(values), notPrincipals: stringMatches(notValues) });
    case 'destination.ip':
      return supported({
        destinationIps: addressMatches(values),
        notDestinationIps: addressMatches(notValues),
      });
    case 'destination.port':
      return supported({
        destinationPorts: portMatches(values),
        notDestinationPorts: portMatches(notValues),
      });
    default:
      return key satisfies never;
  }
}

function supported(fields: Partial<Match>): Part {
  return { match: createMatch(fields), unsupported: false };
}

function isEmpty(match: Match): boolean {
  return Object.values(match).every((values: readonly unknown[]) => values.length === 0);
}

function acceptanceOf(
  rules: readonly PolicyRule[],
  action: 'ALLOW' | 'DENY',
  { l7WithoutWaypoint }: PolicySettings,
): Acceptance {
  const asIstio = l7WithoutWaypoint === 'istio';
  const found = [...new Set(rules.flatMap((rule) => unsupportedInRule(rule, !asIstio)))].sort();
  if (found.length === 0) return { accepted: true, reason: 'Accepted', message: 'attached to ztunnel' };
  const effect =
    action === 'ALLOW'
      ? 'Rules with them are left out, so this policy allows less than it says.'
      : asIstio
        ? 'They are dropped from DENY rules: a rule denies more than it says, or nothing if nothing else is left of a part of it.'
        : 'In DENY rules they are taken to match whatever comes, so this policy denies more than it says.';
  return {
    accepted: asIstio,
    reason: 'UnsupportedValue',
    message: `ztunnel does not support HTTP attributes (found: ${found.join(', ')}). In ambient mode you must use a waypoint proxy to enforce HTTP rules. ${effect}`,
  };
}
