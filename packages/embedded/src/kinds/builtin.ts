/** The built-in resources: one row each. What a kind's objects look like is in gen/kubernetes-types. */
import { builtinSchema } from '../schema/builtin-schema.ts';
import type { Resource, Verb } from './resource.ts';

const ALL: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];
const ONLY_CREATE: readonly Verb[] = ['create'];

interface Row {
  readonly kind: string;
  readonly plural: string;
  readonly short?: readonly string[];
  readonly categories?: readonly string[];
  readonly cluster?: true;
  readonly status?: true;
  readonly generation?: true;
  readonly scale?: Resource['scale'];
  readonly verbs?: readonly Verb[];
  readonly answersDeleted?: true;
}

const REPLICAS = { spec: '.spec.replicas', status: '.status.replicas' };
const SCALED = { scale: { ...REPLICAS, selector: '.spec.selector' } };
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1';

const GROUPS: readonly {
  readonly group: string;
  readonly version: string;
  readonly prefix: string;
  readonly rows: readonly Row[];
}[] = [
  {
    group: '',
    version: 'v1',
    prefix: 'io.k8s.api.core.v1',
    rows: [
      { kind: 'Binding', plural: 'bindings', verbs: ONLY_CREATE },
      { kind: 'ConfigMap', plural: 'configmaps', short: ['cm'] },
      { kind: 'Endpoints', plural: 'endpoints', short: ['ep'] },
      { kind: 'Event', plural: 'events', short: ['ev'] },
      { kind: 'LimitRange', plural: 'limitranges', short: ['limits'] },
      { kind: 'Namespace', plural: 'namespaces', short: ['ns'], cluster: true, status: true },
      { kind: 'Node', plural: 'nodes', short: ['no'], cluster: true, status: true },
      {
        kind: 'PersistentVolumeClaim',
        plural: 'persistentvolumeclaims',
        short: ['pvc'],
        status: true,
      },
      {
        kind: 'Pod',
        plural: 'pods',
        short: ['po'],
        categories: ['all'],
        status: true,
        generation: true,
        answersDeleted: true,
      },
      { kind: 'ResourceQuota', plural: 'resourcequotas', short: ['quota'], status: true },
      { kind: 'Secret', plural: 'secrets' },
      {
        kind: 'Service',
        plural: 'services',
        short: ['svc'],
        categories: ['all'],
        status: true,
        answersDeleted: true,
      },
      { kind: 'ServiceAccount', plural: 'serviceaccounts', short: ['sa'], answersDeleted: true },
    ],
  },
  {
    group: 'apps',
    version: 'v1',
    prefix: 'io.k8s.api.apps.v1',
    rows: [
      { kind: 'ControllerRevision', plural: 'controllerrevisions' },
      {
        kind: 'DaemonSet',
        plural: 'daemonsets',
        short: ['ds'],
        categories: ['all'],
        status: true,
        generation: true,
      },
      {
        kind: 'Deployment',
        plural: 'deployments',
        short: ['deploy'],
        categories: ['all'],
        status: true,
        generation: true,
        ...SCALED,
      },
      {
        kind: 'ReplicaSet',
        plural: 'replicasets',
        short: ['rs'],
        categories: ['all'],
        status: true,
        generation: true,
        ...SCALED,
      },
      {
        kind: 'StatefulSet',
        plural: 'statefulsets',
        short: ['sts'],
        categories: ['all'],
        status: true,
        generation: true,
        ...SCALED,
      },
    ],
  },
  {
    group: 'batch',
    version: 'v1',
    prefix: 'io.k8s.api.batch.v1',
    rows: [
      {
        kind: 'CronJob',
        plural: 'cronjobs',
        short: ['cj'],
        categories: ['all'],
        status: true,
        generation: true,
      },
      { kind: 'Job', plural: 'jobs', categories: ['all'], status: true, generation: true },
    ],
  },
  {
    group: 'autoscaling',
    version: 'v2',
    prefix: 'io.k8s.api.autoscaling.v2',
    rows: [
      {
        kind: 'HorizontalPodAutoscaler',
        plural: 'horizontalpodautoscalers',
        short: ['hpa'],
        categories: ['all'],
        status: true,
      },
    ],
  },
  {
    group: 'policy',
    version: 'v1',
    prefix: 'io.k8s.api.policy.v1',
    rows: [
      {
        kind: 'PodDisruptionBudget',
        plural: 'poddisruptionbudgets',
        short: ['pdb'],
        status: true,
        generation: true,
      },
    ],
  },
  {
    group: 'networking.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.networking.v1',
    rows: [{ kind: 'NetworkPolicy', plural: 'networkpolicies', short: ['netpol'], generation: true }],
  },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.discovery.v1',
    rows: [{ kind: 'EndpointSlice', plural: 'endpointslices', generation: true }],
  },
  {
    group: 'coordination.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.coordination.v1',
    rows: [{ kind: 'Lease', plural: 'leases' }],
  },
  {
    group: 'scheduling.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.scheduling.v1',
    rows: [{ kind: 'PriorityClass', plural: 'priorityclasses', short: ['pc'], cluster: true }],
  },
  {
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.rbac.v1',
    rows: [
      { kind: 'ClusterRole', plural: 'clusterroles', cluster: true },
      { kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', cluster: true },
      { kind: 'Role', plural: 'roles' },
      { kind: 'RoleBinding', plural: 'rolebindings' },
    ],
  },
  {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.admissionregistration.v1',
    rows: [
      {
        kind: 'ValidatingWebhookConfiguration',
        plural: 'validatingwebhookconfigurations',
        cluster: true,
        generation: true,
        categories: ['api-extensions'],
      },
      // Stored and not enforced: there is no CEL here.
      {
        kind: 'ValidatingAdmissionPolicy',
        plural: 'validatingadmissionpolicies',
        cluster: true,
        status: true,
        generation: true,
        categories: ['api-extensions'],
      },
      {
        kind: 'ValidatingAdmissionPolicyBinding',
        plural: 'validatingadmissionpolicybindings',
        cluster: true,
        generation: true,
        categories: ['api-extensions'],
      },
    ],
  },
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    prefix: EXTENSIONS,
    rows: [
      {
        kind: 'CustomResourceDefinition',
        plural: 'customresourcedefinitions',
        short: ['crd', 'crds'],
        categories: ['api-extensions'],
        cluster: true,
        status: true,
        generation: true,
      },
    ],
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.authentication.v1',
    rows: [
      { kind: 'SelfSubjectReview', plural: 'selfsubjectreviews', cluster: true, verbs: ONLY_CREATE },
      { kind: 'TokenReview', plural: 'tokenreviews', cluster: true, verbs: ONLY_CREATE },
    ],
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    prefix: 'io.k8s.api.authorization.v1',
    rows: [
      { kind: 'LocalSubjectAccessReview', plural: 'localsubjectaccessreviews', verbs: ONLY_CREATE },
      {
        kind: 'SelfSubjectAccessReview',
        plural: 'selfsubjectaccessreviews',
        cluster: true,
        verbs: ONLY_CREATE,
      },
      {
        kind: 'SelfSubjectRulesReview',
        plural: 'selfsubjectrulesreviews',
        cluster: true,
        verbs: ONLY_CREATE,
      },
      { kind: 'SubjectAccessReview', plural: 'subjectaccessreviews', cluster: true, verbs: ONLY_CREATE },
    ],
  },
];

export const BUILTIN: readonly Resource[] = GROUPS.flatMap(({ group, version, prefix, rows }) =>
  rows.map((row): Resource => {
    const schemaName = `${prefix}.${row.kind}`;
    return {
      group,
      version,
      kind: row.kind,
      plural: row.plural,
      singular: row.kind.toLowerCase(),
      shortNames: row.short ?? [],
      categories: row.categories ?? [],
      namespaced: row.cluster !== true,
      verbs: row.verbs ?? ALL,
      hasStatus: row.status === true,
      ...(row.scale && { scale: row.scale }),
      hasGeneration: row.generation === true,
      custom: false,
      answersDeleted: row.answersDeleted === true,
      schema: builtinSchema(schemaName),
      schemaName,
      columns: [],
    };
  }),
);
