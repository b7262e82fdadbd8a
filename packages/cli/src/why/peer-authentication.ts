/**
 * PeerAuthentications behind the policies that a ztunnel names: it holds them converted, under names that no user wrote.
 *
 * Which one makes a workload STRICT the name does not say: it is chosen here as istiod does, the narrowest that sets a
 * mode, of those as narrow the oldest.
 */
import { selectsLabels } from '@ambit/kube/label-selector';
import type { Pod } from '@ambit/kube/resources/core';
import type { PeerAuthentication } from '@ambit/kube/resources/security';
import { CONVERTED_POLICY_PREFIX, STRICT_POLICY_NAME } from '@ambit/model/converted-policy';

/** Whether it is the one that all workloads name whose mode is STRICT; `key` is `namespace/name`. */
export function isStrictPolicy(key: string): boolean {
  return key.endsWith(`/${STRICT_POLICY_NAME}`);
}

/**
 * What a user calls it; `undefined` for a policy that is no converted PeerAuthentication.
 *
 * @param strictBy - From {@link strictByOf}; `undefined`: not known.
 */
export function peerAuthenticationTitle(key: string, strictBy: string | undefined): string | undefined {
  if (isStrictPolicy(key))
    return strictBy === undefined
      ? 'PeerAuthentication STRICT of the mesh or the namespace'
      : `PeerAuthentication ${strictBy} (STRICT)`;
  const [namespace = '', name = ''] = key.split('/');
  return name.startsWith(CONVERTED_POLICY_PREFIX)
    ? `PeerAuthentication ${namespace}/${name.slice(CONVERTED_POLICY_PREFIX.length)} (by port)`
    : undefined;
}

/**
 * The PeerAuthentication, `namespace/name`, by which the pod is STRICT; `undefined` when by none of these.
 *
 * @param policies - Those of the pod's namespace and of the root namespace.
 */
export function strictByOf(
  { metadata: pod }: Pod,
  policies: readonly PeerAuthentication[],
  rootNamespace: string,
): string | undefined {
  const oldest = (isMeant: (policy: PeerAuthentication) => boolean) =>
    policies.filter(isMeant).sort(byAge)[0];
  const isOurs = ({ metadata }: PeerAuthentication) => metadata.namespace === pod.namespace;
  const candidates = [
    oldest((policy) => isOurs(policy) && isNarrow(policy) && selectsLabels(labelsOf(policy), pod.labels)),
    oldest((policy) => isOurs(policy) && !isNarrow(policy)),
    oldest((policy) => policy.metadata.namespace === rootNamespace && !isNarrow(policy)),
  ];
  const deciding = candidates.find((policy) => (policy?.spec?.mtls?.mode ?? 'UNSET') !== 'UNSET');
  if (deciding?.spec?.mtls?.mode !== 'STRICT') return undefined;
  return `${deciding.metadata.namespace ?? ''}/${deciding.metadata.name}`;
}

function labelsOf({ spec }: PeerAuthentication): Readonly<Record<string, string>> {
  return spec?.selector?.matchLabels ?? {};
}

/** An empty selector counts as none. */
function isNarrow(policy: PeerAuthentication): boolean {
  return Object.keys(labelsOf(policy)).length > 0;
}

function byAge(a: PeerAuthentication, b: PeerAuthentication): number {
  const [left, right] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`,
  ) as [string, string];
  return left < right ? -1 : 1;
}
