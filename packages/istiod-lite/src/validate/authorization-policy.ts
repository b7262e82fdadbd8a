/** What is wrong with an AuthorizationPolicy; pure, so that admission, translation and the CLI say the same. */
import { parseCidr } from '@ambit/core/ip';
import type {
  AuthorizationPolicy,
  AuthorizationPolicySpec,
  Operation,
  PolicyCondition,
  PolicyRule,
  Source,
} from '@ambit/kube/resources/security';
import { authorizationPolicySpec } from '../schema/authorization-policy.ts';
import { schemaProblems } from '../schema/openapi.ts';
import type { L7WithoutWaypoint } from '../translate/authorization-policy.ts';
import { unsupportedInRule } from '../translate/l7-attributes.ts';
import { parsePort } from '../translate/matchers.ts';
import { Collector, type Findings } from './problems.ts';
import { validateAttachment } from './selector.ts';

export const DRY_RUN_ANNOTATION = 'istio.io/dry-run';

export interface PolicyValidation {
  readonly l7WithoutWaypoint: L7WithoutWaypoint;
}

export function validateAuthorizationPolicy(
  policy: AuthorizationPolicy,
  options: PolicyValidation,
): Findings {
  const found = new Collector();
  const spec = policy.spec ?? {};
  found.errors.push(...schemaProblems(authorizationPolicySpec, spec, 'spec'));
  // What has not the right form cannot be looked at any closer.
  if (found.errors.length > 0) return found;
  validateAttachment(spec, found);
  validateAction(spec, found);
  if (spec.action === 'CUSTOM' && policy.metadata.annotations?.[DRY_RUN_ANNOTATION] === 'true')
    found.warn(
      'metadata.annotations',
      `${DRY_RUN_ANNOTATION}: a CUSTOM policy in dry run asks nobody, so nothing is told of it`,
    );
  for (const [i, rule] of (spec.rules ?? []).entries()) validateRule(rule, `spec.rules[${i}]`, found);
  if (spec.targetRef === undefined && (spec.targetRefs?.length ?? 0) === 0)
    validateForZtunnel(spec, options, found);
  return found;
}

function validateAction(spec: AuthorizationPolicySpec, into: Collector): void {
  const { action = 'ALLOW', provider, rules = [] } = spec;
  if (action === 'CUSTOM') {
    if (!provider?.name) into.error('spec.provider.name', 'is required with the CUSTOM action');
    if (spec.rules === undefined)
      into.error('spec.rules', 'are required with the CUSTOM action; an empty rule matches all');
    for (const [i, rule] of rules.entries()) validateCustomRule(rule, `spec.rules[${i}]`, into);
  } else if (provider !== undefined) {
    into.error('spec.provider', 'is only for the CUSTOM action');
  }
  if (action === 'DENY' && rules.length === 0)
    into.error('spec.rules', 'a DENY policy without rules denies nothing');
}

/** What a source says of who is at the other end of the connection. */
export const PEER_IDENTITY_FIELDS = [
  'principals',
  'notPrincipals',
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
] as const;

const IDENTITY_FIELDS = [...PEER_IDENTITY_FIELDS, 'requestPrincipals', 'notRequestPrincipals'] as const;

function validateCustomRule(rule: PolicyRule, path: string, into: Collector): void {
  for (const [i, { source = {} }] of (rule.from ?? []).entries()) {
    for (const field of IDENTITY_FIELDS)
      if (source[field])
        into.error(`${path}.from[${i}].source.${field}`, 'is not supported with the CUSTOM action');
  }
  for (const [i, { key }] of (rule.when ?? []).entries()) {
    if (/^(source\.(namespace|principal|serviceAccount)|request\.auth\.)/.test(key))
      into.error(`${path}.when[${i}].key`, `${key} is not supported with the CUSTOM action`);
  }
}

function validateRule(rule: PolicyRule, path: string, into: Collector): void {
  for (const [i, { source = {} }] of (rule.from ?? []).entries())
    validateSource(source, `${path}.from[${i}].source`, into);
  for (const [i, { operation = {} }] of (rule.to ?? []).entries())
    validateOperation(operation, `${path}.to[${i}].operation`, into);
  for (const [i, condition] of (rule.when ?? []).entries())
    validateCondition(condition, `${path}.when[${i}]`, into);
}

function validateSource(source: Source, path: string, into: Collector): void {
  for (const name of ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const)
    validateAddresses(source[name], `${path}.${name}`, into);
  for (const name of ['serviceAccounts', 'notServiceAccounts'] as const)
    validateServiceAccounts(source[name], `${path}.${name}`, into);
  const byAccount = source.serviceAccounts ?? source.notServiceAccounts;
  const byName = source.principals ?? source.notPrincipals ?? source.namespaces ?? source.notNamespaces;
  if (byAccount && byName) into.error(path, 'serviceAccounts cannot be joined with principals or namespaces');
  for (const name of ['principals', 'notPrincipals'] as const)
    validateIdentities(source[name], `${path}.${name}`, into);
}

function validateOperation(operation: Operation, path: string, into: Collector): void {
  validatePorts(operation.ports, `${path}.ports`, into);
  validatePorts(operation.notPorts, `${path}.notPorts`, into);
  for (const name of ['paths', 'notPaths'] as const)
    for (const value of operation[name] ?? [])
      if (isTemplate(value) && !TEMPLATE.test(value))
        into.error(
          `${path}.${name}`,
          `"${value}" is not a template: {*} and {**} are whole segments, and nothing but text may follow {**}`,
        );
}

function isTemplate(path: string): boolean {
  return path.includes('{*}') || path.includes('{**}');
}

const TEMPLATE = /^(?:\/(?:\{\*\}|[^/*{}]*))*(?:\/\{\*\*\}(?:\/[^/*{}]*)*)?$/;

const KEYS =
  /^(request\.headers\[[^\]]+\]|request\.auth\.(principal|audiences|presenter|claims(\[[^\]]+\])+)|source\.(ip|namespace|principal|serviceAccount|trustDomain)|remote\.ip|destination\.(ip|port)|connection\.sni|experimental\.envoy\.filters\..+)$/;

function validateCondition({ key, values, notValues }: PolicyCondition, path: string, into: Collector): void {
  if (!KEYS.test(key)) into.error(`${path}.key`, `unknown attribute "${key}"`);
  if (!values?.length && !notValues?.length) into.error(path, 'must have values or notValues');
  for (const [name, given] of Object.entries({ values, notValues })) {
    if (/^(source|destination|remote)\.ip$/.test(key)) validateAddresses(given, `${path}.${name}`, into);
    if (key === 'destination.port') validatePorts(given, `${path}.${name}`, into);
    if (key === 'source.principal') validateIdentities(given, `${path}.${name}`, into);
  }
}

function validateAddresses(values: readonly string[] | undefined, path: string, into: Collector): void {
  for (const value of values ?? [])
    if (!parseCidr(value)) into.error(path, `"${value}" is not an IP address or a CIDR block`);
}

/** What never matches denies nobody, and allows nobody: a mistake that is seen only when it matters. */
function validateIdentities(values: readonly string[] | undefined, path: string, into: Collector): void {
  if (values?.some((value) => value.startsWith('spiffe://')))
    into.refuse(path, 'identities are written without spiffe://; with it they never match');
}

function validatePorts(values: readonly string[] | undefined, path: string, into: Collector): void {
  for (const value of values ?? [])
    if (parsePort(value) === undefined) into.error(path, `"${value}" is not a port from 1 to 65535`);
}

function validateServiceAccounts(values: readonly string[] | undefined, path: string, into: Collector): void {
  for (const value of values ?? []) {
    if (value.includes('*')) into.error(path, `"${value}": wildcards are not supported`);
    else if (!/^([^/]+\/)?[^/]+$/.test(value))
      into.error(path, `"${value}" is neither name nor namespace/name`);
  }
}

/** Without a waypoint the policy is ztunnel's, which sees no HTTP. */
function validateForZtunnel(spec: AuthorizationPolicySpec, options: PolicyValidation, into: Collector): void {
  const { action = 'ALLOW' } = spec;
  if (action !== 'ALLOW' && action !== 'DENY') {
    into.warn(
      'spec.action',
      `ztunnel does not support ${action}: without a waypoint this policy has no effect`,
    );
    return;
  }
  const { l7WithoutWaypoint: mode } = options;
  for (const [i, rule] of (spec.rules ?? []).entries()) {
    const found = unsupportedInRule(rule, mode !== 'istio');
    if (found.length === 0) continue;
    const problem = `needs a waypoint (${found.join(', ')}); ${effectOf(action, mode)}`;
    if (mode === 'refuse') into.refuse(`spec.rules[${i}]`, problem);
    else into.warn(`spec.rules[${i}]`, problem);
  }
}

function effectOf(action: 'ALLOW' | 'DENY', mode: L7WithoutWaypoint): string {
  if (mode === 'refuse') return 'attach the policy to one with targetRefs';
  if (action === 'ALLOW') return 'without one the rule is left out, so less is allowed';
  return mode === 'deny'
    ? 'without one these attributes are taken to match, so more is denied'
    : 'without one these attributes are dropped, so more or nothing is denied';
}
