/**
 * Whether NetworkPolicies let the mesh's port in from anybody: otherwise pods that they select are cut off in the mesh. What
 * any of them lets in to a pod comes in.
 */
import { formatLabelSelector, type LabelSelector } from '@ambit/kube/label-selector';
import type { KubeObject } from '@ambit/kube/resource';
import { listOf, numberOf, objectOf, textOf } from '../../json-value.ts';
import type { PolicyView } from './facts.ts';

const MESH_PORT = 15_008;

export function policyViewOf(policy: KubeObject): PolicyView {
  const { spec } = policy as KubeObject & { readonly spec?: unknown };
  const { policyTypes, ingress, podSelector } = objectOf(spec);
  const types = listOf(policyTypes).map(textOf);
  // Without types a policy is about what comes in.
  const restricts = types.length === 0 || types.includes('Ingress');
  const rules = restricts ? listOf(ingress) : [];
  const letsMeshIn = rules.some(letsIn);
  const { namespace = '', name } = policy.metadata;
  const excludesMesh = rules.length > 0 && !letsMeshIn;
  return { namespace, name, podSelector: objectOf(podSelector) as LabelSelector, letsMeshIn, excludesMesh };
}

/** Those that keep the mesh from some pod, unless policies that are for parts of their pods each happen to make up for it. */
export function closedToMesh(policies: readonly PolicyView[]): readonly PolicyView[] {
  const open = Map.groupBy(
    policies.filter(({ letsMeshIn }) => letsMeshIn),
    ({ namespace }) => namespace,
  );
  return policies.filter(
    ({ excludesMesh, namespace, podSelector }) =>
      excludesMesh && !(open.get(namespace) ?? []).some((other) => covers(other.podSelector, podSelector)),
  );
}

/** Whether `wide` asks for nothing that `narrow` does not ask for too. */
function covers(wide: LabelSelector, narrow: LabelSelector): boolean {
  const labels = narrow.matchLabels ?? {};
  const asked = new Set(requirementsOf(narrow));
  return (
    Object.entries(wide.matchLabels ?? {}).every(([name, value]) => labels[name] === value) &&
    requirementsOf(wide).every((one) => asked.has(one))
  );
}

function requirementsOf({ matchExpressions = [] }: LabelSelector): readonly string[] {
  return matchExpressions.map((one) => formatLabelSelector({ matchExpressions: [one] }));
}

/** Whom it lets in is not looked at: that a rule names the port shows that somebody has thought of it. */
function letsIn(rule: unknown): boolean {
  const { ports } = objectOf(rule);
  const all = listOf(ports).map(objectOf);
  return all.length === 0 || all.some(isMeshPort);
}

function isMeshPort({ port, endPort, protocol }: Readonly<Record<string, unknown>>): boolean {
  if (protocol !== undefined && protocol !== 'TCP') return false;
  if (port === undefined) return true;
  const first = numberOf(port);
  if (first === undefined) return false;
  return MESH_PORT >= first && MESH_PORT <= (numberOf(endPort) ?? first);
}
