/**
 * The kinds that an installation consists of, in the order in which they are applied: what others need comes first.
 *
 * Removal goes through the same list backwards. A manifest with a kind that is not listed is refused, so that a new kind
 * gets its place in the order by somebody who thought of it.
 */
import { apiVersionOf, type KubeObject, type Resource } from '@ambit/kube/resource';

function kind(group: string, version: string, name: string, plural: string, namespaced: boolean): Resource {
  return { group, version, kind: name, plural, namespaced };
}

const RBAC = 'rbac.authorization.k8s.io';

export const customResourceDefinitions = kind(
  'apiextensions.k8s.io',
  'v1',
  'CustomResourceDefinition',
  'customresourcedefinitions',
  false,
);
const priorityClasses = kind('scheduling.k8s.io', 'v1', 'PriorityClass', 'priorityclasses', false);

export const KINDS: readonly Resource[] = [
  kind('', 'v1', 'Namespace', 'namespaces', false),
  customResourceDefinitions,
  priorityClasses,
  kind('', 'v1', 'ResourceQuota', 'resourcequotas', true),
  kind('', 'v1', 'ServiceAccount', 'serviceaccounts', true),
  kind(RBAC, 'v1', 'ClusterRole', 'clusterroles', false),
  kind(RBAC, 'v1', 'ClusterRoleBinding', 'clusterrolebindings', false),
  kind(RBAC, 'v1', 'Role', 'roles', true),
  kind(RBAC, 'v1', 'RoleBinding', 'rolebindings', true),
  kind('', 'v1', 'ConfigMap', 'configmaps', true),
  kind('', 'v1', 'Secret', 'secrets', true),
  kind('', 'v1', 'Service', 'services', true),
  kind('networking.k8s.io', 'v1', 'NetworkPolicy', 'networkpolicies', true),
  kind('policy', 'v1', 'PodDisruptionBudget', 'poddisruptionbudgets', true),
  kind('autoscaling', 'v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers', true),
  kind('apps', 'v1', 'Deployment', 'deployments', true),
  kind('apps', 'v1', 'DaemonSet', 'daemonsets', true),
  kind(
    'admissionregistration.k8s.io',
    'v1',
    'MutatingWebhookConfiguration',
    'mutatingwebhookconfigurations',
    false,
  ),
  kind(
    'admissionregistration.k8s.io',
    'v1',
    'ValidatingWebhookConfiguration',
    'validatingwebhookconfigurations',
    false,
  ),
  kind(
    'admissionregistration.k8s.io',
    'v1',
    'ValidatingAdmissionPolicy',
    'validatingadmissionpolicies',
    false,
  ),
  kind(
    'admissionregistration.k8s.io',
    'v1',
    'ValidatingAdmissionPolicyBinding',
    'validatingadmissionpolicybindings',
    false,
  ),
  kind('gateway.networking.k8s.io', 'v1', 'GatewayClass', 'gatewayclasses', false),
];

/** `undefined`: a kind that no installation has. */
export function resourceOf({ apiVersion, kind: name }: KubeObject): Resource | undefined {
  return KINDS.find((one) => one.kind === name && apiVersionOf(one) === apiVersion);
}

/** Where in the order a kind comes; kinds that are not listed come last. */
export function orderOf(resource: Resource): number {
  const found = KINDS.findIndex(
    ({ kind: name, group }) => name === resource.kind && group === resource.group,
  );
  return found < 0 ? KINDS.length : found;
}
