/**
 * PeerAuthentications as policies: ztunnel knows no mTLS mode, it knows "deny who has not proved an identity".
 *
 * One static policy says so of every port; a policy with exceptions by port is converted to one of its own, which its
 * workloads name instead.
 */
import {
  Action,
  type Authorization,
  type Clause,
  createAuthorization,
  createMatch,
  type Rule,
  Scope,
} from '@ambit/api/authorization';
import type { Labels } from '@ambit/kube/label-selector';
import type { PeerAuthentication } from '@ambit/kube/resources/security';
import { CONVERTED_POLICY_PREFIX, STRICT_POLICY_NAME } from '@ambit/model/converted-policy';
import { parsePort, stringMatches } from './matchers.ts';

/** What a workload takes. DISABLE counts as PERMISSIVE: ztunnel never turns mTLS off. */
export type MtlsMode = 'STRICT' | 'PERMISSIVE';

/** Which policies bear on the workloads of a namespace: those that have no selector. */
export interface InheritedModes {
  readonly mesh: MtlsMode | undefined;
  readonly namespace: MtlsMode | undefined;
}

/** A PeerAuthentication with a selector, and what it makes its workloads name. */
export interface SelectedMode {
  readonly labels: Labels;
  readonly createdAt: string;
  readonly name: string;
  /** The policy that a workload names when this one is in force for it; `undefined`: none. */
  readonly policyKey: string | undefined;
  /** To be sent besides the static one. */
  readonly converted: Authorization | undefined;
}

function staticStrictKey(rootNamespace: string): string {
  return `${rootNamespace}/${STRICT_POLICY_NAME}`;
}

/** Denies whoever has no identity. Sent whenever there is any PeerAuthentication. */
export function staticStrict(rootNamespace: string): Authorization {
  return denial(rootNamespace, STRICT_POLICY_NAME, [{ clauses: [noIdentity()] }]);
}

/** The mode that the oldest of the selector-less policies of one namespace sets; `undefined` when it sets none. */
export function modeWithoutSelector(policies: readonly PeerAuthentication[]): MtlsMode | undefined {
  const oldest = [...policies].filter((policy) => !hasSelector(policy)).sort(byAge)[0];
  return modeOf(oldest?.spec?.mtls?.mode);
}

export function hasSelector({ spec }: PeerAuthentication): boolean {
  return Object.keys(spec?.selector?.matchLabels ?? {}).length > 0;
}

/** The policy that a workload names for its mode when no policy with a selector is in force for it. */
export function inheritedKey(inherited: InheritedModes, rootNamespace: string): string | undefined {
  return (inherited.namespace ?? inherited.mesh) === 'STRICT' ? staticStrictKey(rootNamespace) : undefined;
}

/** Of a policy with a selector, outside the root namespace. */
export function selectedMode(
  policy: PeerAuthentication,
  inherited: InheritedModes,
  rootNamespace: string,
): SelectedMode {
  const { metadata, spec = {} } = policy;
  const mode = modeOf(spec.mtls?.mode) ?? inherited.namespace ?? inherited.mesh ?? 'PERMISSIVE';
  const ports = Object.entries(spec.portLevelMtls ?? {}).flatMap(([text, mtls]) => {
    const port = parsePort(text);
    const portMode = modeOf(mtls.mode);
    return port === undefined || portMode === undefined || portMode === mode ? [] : [port];
  });
  const converted = convertedPolicy(
    policy,
    mode,
    ports.sort((a, b) => a - b),
  );
  const wholeKey = mode === 'STRICT' ? staticStrictKey(rootNamespace) : undefined;
  return {
    labels: spec.selector?.matchLabels ?? {},
    createdAt: metadata.creationTimestamp ?? '',
    name: metadata.name,
    policyKey: converted ? `${converted.namespace}/${converted.name}` : wholeKey,
    converted,
  };
}

/** The older first; of two of the same second, by name. */
function byAge(a: PeerAuthentication, b: PeerAuthentication): number {
  return (
    compare(a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '') ||
    compare(a.metadata.name, b.metadata.name)
  );
}

/** @param exceptions - Ports whose mode is not `mode`. */
function convertedPolicy(
  { metadata }: PeerAuthentication,
  mode: MtlsMode,
  exceptions: readonly number[],
): Authorization | undefined {
  if (exceptions.length === 0) return undefined;
  const rules: readonly Rule[] =
    mode === 'STRICT'
      ? [{ clauses: [noIdentity(), ...exceptions.map((port) => only({ notDestinationPorts: [port] }))] }]
      : exceptions.map((port) => ({
          clauses: [only({ notPrincipals: stringMatches(['*']), destinationPorts: [port] })],
        }));
  return denial(metadata.namespace ?? '', CONVERTED_POLICY_PREFIX + metadata.name, rules);
}

function modeOf(mode: string | undefined): MtlsMode | undefined {
  if (mode === 'STRICT') return 'STRICT';
  return mode === 'PERMISSIVE' || mode === 'DISABLE' ? 'PERMISSIVE' : undefined;
}

function noIdentity(): Clause {
  return only({ notPrincipals: stringMatches(['*']) });
}

function only(fields: Parameters<typeof createMatch>[0]): Clause {
  return { matches: [createMatch(fields)] };
}

function denial(namespace: string, name: string, rules: readonly Rule[]): Authorization {
  return createAuthorization({ name, namespace, scope: Scope.WORKLOAD_SELECTOR, action: Action.DENY, rules });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
