/**
 * Writes src/gen/kubernetes-types.ts from the swagger.json of a Kubernetes release: names, types, merge keys and list
 * types of the kinds that the embedded API serves. Only facts are kept; the descriptions stay behind.
 *
 *     node packages/embedded/tools/generate-types.ts path/to/swagger.json
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Definition {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Definition>>;
  readonly items?: Definition;
  readonly additionalProperties?: Definition;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: string;
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-patch-merge-key'?: string;
}

const CORE = 'io.k8s.api.core.v1.';
const ROOTS = [
  ...['Namespace', 'Pod', 'Service', 'ServiceAccount', 'ConfigMap', 'Secret', 'Node', 'Event', 'Endpoints'],
  ...['Binding', 'LimitRange', 'ResourceQuota', 'PersistentVolumeClaim', 'PersistentVolume', 'PodTemplate'],
]
  .map((kind) => CORE + kind)
  .concat(
    [
      ...['apps.v1.Deployment', 'apps.v1.DaemonSet', 'apps.v1.ReplicaSet', 'apps.v1.StatefulSet'],
      ...[
        'apps.v1.ControllerRevision',
        'batch.v1.Job',
        'batch.v1.CronJob',
        'autoscaling.v2.HorizontalPodAutoscaler',
      ],
      ...['autoscaling.v1.Scale', 'policy.v1.PodDisruptionBudget', 'policy.v1.Eviction'],
      ...['networking.v1.NetworkPolicy', 'networking.v1.Ingress', 'networking.v1.IngressClass'],
      ...['discovery.v1.EndpointSlice', 'coordination.v1.Lease', 'scheduling.v1.PriorityClass'],
      ...['rbac.v1.Role', 'rbac.v1.RoleBinding', 'rbac.v1.ClusterRole', 'rbac.v1.ClusterRoleBinding'],
      ...[
        'ValidatingWebhookConfiguration',
        'ValidatingAdmissionPolicy',
        'ValidatingAdmissionPolicyBinding',
      ].map((kind) => `admissionregistration.v1.${kind}`),
      ...['events.v1.Event', 'authentication.v1.TokenRequest'],
      ...['authentication.v1.TokenReview', 'authentication.v1.SelfSubjectReview'],
      ...['authorization.v1.SubjectAccessReview', 'authorization.v1.SelfSubjectAccessReview'],
      ...['authorization.v1.LocalSubjectAccessReview', 'authorization.v1.SelfSubjectRulesReview'],
    ].map((name) => `io.k8s.api.${name}`),
  )
  .concat([
    'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
    'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions',
    'io.k8s.apimachinery.pkg.apis.meta.v1.Status',
  ]);

const SCALARS: Readonly<Record<string, string>> = {
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'time',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'int-or-string',
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'any',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': 'any',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON': 'any',
};
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.';
for (const name of ['JSONSchemaPropsOrArray', 'JSONSchemaPropsOrBool', 'JSONSchemaPropsOrStringArray'])
  Object.assign(SCALARS, { [EXTENSIONS + name]: 'any' });

function typeOf(definition: Definition, found: Set<string>): string {
  if (definition.$ref) {
    const name = definition.$ref.replace('#/definitions/', '');
    const scalar = SCALARS[name];
    if (scalar) return scalar;
    found.add(name);
    return definition['x-kubernetes-map-type'] === 'atomic' ? `atomic ${name}` : name;
  }
  if (definition.type === 'array') {
    const words = ['list'];
    const list = definition['x-kubernetes-list-type'];
    if (list === 'map') words.push(`map=${(definition['x-kubernetes-list-map-keys'] ?? []).join(',')}`);
    else if (list) words.push(list);
    const strategies = (definition['x-kubernetes-patch-strategy'] ?? '').split(',');
    if (strategies.includes('merge')) words.push(`merge=${definition['x-kubernetes-patch-merge-key'] ?? ''}`);
    if (strategies.includes('retainKeys')) words.push('retainKeys');
    return [...words, typeOf(definition.items ?? {}, found)].join(' ');
  }
  if (definition.type === 'object' && definition.additionalProperties) {
    const atomic = definition['x-kubernetes-map-type'] === 'atomic' ? 'atomic ' : '';
    return `map ${atomic}${typeOf(definition.additionalProperties, found)}`;
  }
  switch (definition.type) {
    case 'integer':
      return definition.format === 'int64' ? 'int64' : 'int32';
    case 'string':
      return definition.format === 'byte' ? 'bytes' : definition.format === 'date-time' ? 'time' : 'string';
    case 'number':
    case 'boolean':
      return definition.type;
    default:
      return 'any';
  }
}

const [, , path] = process.argv;
if (path === undefined) throw new Error('usage: generate-types.ts path/to/swagger.json');
const swagger = JSON.parse(readFileSync(path, 'utf8')) as {
  readonly info: { readonly version: string };
  readonly definitions: Readonly<Record<string, Definition>>;
};
const wanted = new Set<string>(ROOTS);
const table: Record<string, { required?: readonly string[]; atomic?: true; fields: Record<string, string> }> =
  {};
for (const name of wanted) {
  const definition = swagger.definitions[name];
  if (!definition) throw new Error(`${name}: not in ${path}`);
  const fields = Object.fromEntries(
    Object.entries(definition.properties ?? {}).map(([field, type]) => {
      const retain =
        type.$ref && (type['x-kubernetes-patch-strategy'] ?? '').includes('retainKeys') ? 'retainKeys ' : '';
      return [field, retain + typeOf(type, wanted)];
    }),
  );
  table[name] = {
    ...(definition.required && { required: definition.required }),
    ...(definition['x-kubernetes-map-type'] === 'atomic' && { atomic: true as const }),
    fields,
  };
}
const lines = Object.keys(table)
  .sort()
  .map((name) => `  ${JSON.stringify(name)}: ${JSON.stringify(table[name])},`);
const target = new URL('../src/gen/kubernetes-types.ts', import.meta.url);
writeFileSync(
  target,
  `/** Field names and types of Kubernetes ${swagger.info.version}. Written by tools/generate-types.ts; do not edit. */
import type { TypeTable } from '../schema/builtin-schema.ts';

export const KUBERNETES_TYPES: TypeTable = {
${lines.join('\n')}
};
`,
);
process.stdout.write(`${lines.length} types\n`);
