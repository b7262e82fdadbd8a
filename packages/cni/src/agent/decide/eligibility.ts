/**
 * Whether a pod belongs into the mesh, by its labels, its namespace's, and what it is. Pure.
 *
 * As Istio's agent decides: pods of the host's network and pods with a sidecar never; namespaces that are excluded never;
 * else any pair of selectors that fits.
 */
import { type LabelSelector, type Labels, selects } from '@ambit/kube/label-selector';
import type { Pod } from '@ambit/kube/resources/core';
import { DATAPLANE_MODE_LABEL, SIDECAR_STATUS_ANNOTATION } from '../../names.ts';
import type { NamespaceState } from '../../node-file.ts';

export interface EnablementSelector {
  readonly podSelector: LabelSelector;
  readonly namespaceSelector: LabelSelector;
}

export interface EligibilityRules {
  /** Any of them is enough; an empty selector accepts everything. */
  readonly selectors: readonly EnablementSelector[];
  readonly excludedNamespaces: ReadonlySet<string>;
}

export type Eligibility = { readonly eligible: true } | { readonly eligible: false; readonly reason: string };

/** Istio's default: the pod's own label, or the namespace's unless the pod says `none`. */
export const DEFAULT_SELECTORS: readonly EnablementSelector[] = [
  { podSelector: { matchLabels: { [DATAPLANE_MODE_LABEL]: 'ambient' } }, namespaceSelector: {} },
  {
    podSelector: { matchExpressions: [{ key: DATAPLANE_MODE_LABEL, operator: 'NotIn', values: ['none'] }] },
    namespaceSelector: { matchLabels: { [DATAPLANE_MODE_LABEL]: 'ambient' } },
  },
];

export function eligibility(pod: Pod, namespaceLabels: Labels, rules: EligibilityRules): Eligibility {
  const { namespace = '', labels, annotations } = pod.metadata;
  if (pod.spec?.hostNetwork === true) return no('it uses the network of its node');
  if (annotations?.[SIDECAR_STATUS_ANNOTATION] !== undefined) return no('it has a sidecar');
  if (rules.excludedNamespaces.has(namespace)) return no(`namespace ${namespace} is excluded`);
  const fits = rules.selectors.some(
    ({ podSelector, namespaceSelector }) =>
      selects(podSelector, labels) && selects(namespaceSelector, namespaceLabels),
  );
  return fits
    ? { eligible: true }
    : no(`neither it nor namespace ${namespace} is labelled ${DATAPLANE_MODE_LABEL}=ambient`);
}

/** How the node file tells a namespace. */
export function namespaceState(
  namespace: string,
  labels: Labels,
  pods: Iterable<Pod>,
  rules: EligibilityRules,
): NamespaceState {
  const plainPod: Pod = { metadata: { name: '', namespace } };
  if (eligibility(plainPod, labels, rules).eligible) return 'enrolled';
  for (const pod of pods) {
    if (pod.metadata.namespace === namespace && eligibility(pod, labels, rules).eligible) return 'mixed';
  }
  return 'outside';
}

function no(reason: string): Eligibility {
  return { eligible: false, reason };
}
