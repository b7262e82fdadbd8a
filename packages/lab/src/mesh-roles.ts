/** What the parts of the mesh may do at the API server: what they need, and no more. */

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const READ = ['get', 'list', 'watch'];
const rule = (apiGroup: string, resources: readonly string[], verbs: readonly string[]): Rule => ({
  apiGroups: [apiGroup],
  resources,
  verbs,
});

export const ISTIOD_RULES: readonly Rule[] = [
  rule('', ['pods', 'nodes', 'services', 'namespaces', 'endpoints', 'serviceaccounts'], READ),
  rule('', ['configmaps'], [...READ, 'create', 'update', 'patch']),
  rule('', ['secrets'], [...READ, 'create', 'update']),
  rule('', ['services/status'], [...READ, 'update', 'patch']),
  rule('discovery.k8s.io', ['endpointslices'], READ),
  rule('security.istio.io', ['*'], READ),
  rule('security.istio.io', ['authorizationpolicies'], ['create']),
  rule('networking.istio.io', ['serviceentries', 'workloadentries'], READ),
  rule('networking.istio.io', ['serviceentries/status'], ['patch']),
  rule('gateway.networking.k8s.io', ['gateways', 'gatewayclasses'], READ),
  rule(
    'security.istio.io',
    ['authorizationpolicies/status', 'peerauthentications/status'],
    [...READ, 'update', 'patch'],
  ),
  rule('admissionregistration.k8s.io', ['validatingwebhookconfigurations'], [...READ, 'update', 'patch']),
  rule('apiextensions.k8s.io', ['customresourcedefinitions'], READ),
  rule('authentication.k8s.io', ['tokenreviews'], ['create']),
  rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
  rule('coordination.k8s.io', ['leases'], ['get', 'create', 'update', 'patch']),
];

export const CNI_RULES: readonly Rule[] = [
  rule('', ['pods', 'nodes', 'namespaces'], READ),
  rule('', ['pods/status'], ['patch', 'update']),
  rule('', ['events'], ['create', 'patch']),
  rule('security.istio.io', ['authorizationpolicies', 'peerauthentications'], READ),
  { ...rule('apps', ['daemonsets'], ['get']), resourceNames: ['istio-cni-node'] },
];
