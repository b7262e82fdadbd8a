/** What a new cluster has before anybody makes anything: namespaces, the roles of the system, its own Service. */
import type { JsonObject } from './json.ts';
import { nameOf } from './object.ts';
import type { Context } from './objects/context.ts';
import { createObject } from './objects/create.ts';
import { systemOptions } from './controllers/namespaces.ts';
import { objectKey } from './storage/store.ts';

const RBAC = 'rbac.authorization.k8s.io';

const rule = (
  groups: readonly string[],
  resources: readonly string[],
  verbs: readonly string[],
): JsonObject => ({
  apiGroups: [...groups],
  resources: [...resources],
  verbs: [...verbs],
});

const DISCOVERY_PATHS = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/healthz',
  '/livez',
  '/openapi',
  '/openapi/*',
  '/readyz',
  '/version',
  '/version/',
];
const READ = ['get', 'list', 'watch'];
const WRITE = [...READ, 'create', 'delete', 'deletecollection', 'patch', 'update'];
const VIEWED = [
  ...[
    'bindings',
    'configmaps',
    'endpoints',
    'events',
    'limitranges',
    'namespaces',
    'persistentvolumeclaims',
    'pods',
  ],
  ...['pods/log', 'pods/status', 'resourcequotas', 'serviceaccounts', 'services', 'services/status'],
];
const APPS = [
  'daemonsets',
  'deployments',
  'replicasets',
  'statefulsets',
  'deployments/scale',
  'replicasets/scale',
];

const CLUSTER_ROLES: Readonly<Record<string, readonly JsonObject[]>> = {
  'cluster-admin': [rule(['*'], ['*'], ['*']), { nonResourceURLs: ['*'], verbs: ['*'] }],
  'system:discovery': [{ nonResourceURLs: DISCOVERY_PATHS, verbs: ['get'] }],
  'system:public-info-viewer': [
    { nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'], verbs: ['get'] },
  ],
  'system:basic-user': [
    rule(['authorization.k8s.io'], ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    rule(['authentication.k8s.io'], ['selfsubjectreviews'], ['create']),
  ],
  'system:service-account-issuer-discovery': [
    { nonResourceURLs: ['/.well-known/openid-configuration', '/openid/v1/jwks'], verbs: ['get'] },
  ],
  'system:auth-delegator': [
    rule(['authentication.k8s.io'], ['tokenreviews'], ['create']),
    rule(['authorization.k8s.io'], ['subjectaccessreviews'], ['create']),
  ],
  'system:node': [
    rule([''], ['services', 'namespaces', 'configmaps', 'secrets', 'endpoints', 'serviceaccounts'], READ),
    rule(['discovery.k8s.io'], ['endpointslices'], READ),
    rule([''], ['nodes', 'nodes/status'], ['create', 'get', 'list', 'watch', 'patch', 'update']),
    rule([''], ['pods'], [...READ, 'create', 'delete']),
    rule([''], ['pods/status'], ['patch', 'update']),
    rule([''], ['events'], ['create', 'patch', 'update']),
    rule(['coordination.k8s.io'], ['leases'], ['create', 'get', 'patch', 'update', 'delete']),
    rule([''], ['serviceaccounts/token'], ['create']),
    rule(['authentication.k8s.io'], ['tokenreviews'], ['create']),
    rule(['authorization.k8s.io'], ['subjectaccessreviews'], ['create']),
  ],
  view: [
    rule([''], VIEWED, READ),
    rule(['apps'], APPS, READ),
    rule(['discovery.k8s.io'], ['endpointslices'], READ),
  ],
  edit: [
    rule(
      [''],
      VIEWED.filter((name) => name !== 'namespaces' && name !== 'bindings'),
      WRITE,
    ),
    rule([''], ['namespaces'], READ),
    rule([''], ['secrets'], WRITE),
    rule([''], ['pods/portforward', 'pods/eviction'], ['create', 'get']),
    rule([''], ['serviceaccounts'], ['impersonate']),
    rule(['apps'], APPS, WRITE),
    rule(['discovery.k8s.io'], ['endpointslices'], READ),
  ],
};

const GROUP_BINDINGS: readonly (readonly [role: string, groups: readonly string[]])[] = [
  ['cluster-admin', ['system:masters']],
  ['system:discovery', ['system:authenticated']],
  ['system:basic-user', ['system:authenticated']],
  ['system:public-info-viewer', ['system:authenticated', 'system:unauthenticated']],
  ['system:service-account-issuer-discovery', ['system:serviceaccounts']],
  ['system:node', ['system:nodes']],
];

/** Makes what is missing; what is there, also changed, stays as it is. */
export async function bootstrap(context: Context): Promise<void> {
  const make = async (group: string, plural: string, namespace: string, body: JsonObject) => {
    const resource = context.registry.get(group, 'v1', plural);
    if (!resource) return;
    const storage = group === '' ? plural : `${plural}.${group}`;
    if (context.store.get(storage, objectKey(namespace, nameOf(body)))) return;
    await createObject(context, resource, namespace, body, {
      ...systemOptions(),
      fieldManager: 'kube-apiserver',
    });
  };
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    await make('', 'namespaces', '', { metadata: { name } });
  }
  const labels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
  for (const [name, rules] of Object.entries(CLUSTER_ROLES)) {
    await make(RBAC, 'clusterroles', '', { metadata: { name, labels: { ...labels } }, rules: [...rules] });
  }
  for (const [name, groups] of GROUP_BINDINGS) {
    await make(RBAC, 'clusterrolebindings', '', {
      metadata: { name, labels: { ...labels } },
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name },
      subjects: groups.map((group) => ({ apiGroup: RBAC, kind: 'Group', name: group })),
    });
  }
  await make('', 'services', 'default', {
    metadata: { name: 'kubernetes', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      clusterIP: '10.96.0.1',
      ports: [{ name: 'https', port: 443, targetPort: 6443, protocol: 'TCP' }],
    },
  });
}
