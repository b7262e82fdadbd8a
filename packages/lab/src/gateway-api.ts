/**
 * The Gateway API's kinds for the lab: names, versions, statuses and columns, and no validation. A real cluster installs the
 * definitions of the Gateway API's own releases, which check what is written; these let everything in.
 */
import type { KubeObject } from '@ambit/kube/resource';

const GROUP = 'gateway.networking.k8s.io';

interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly short?: string;
  /** The first is what is stored. */
  readonly versions: readonly [string, ...string[]];
  readonly cluster?: true;
  readonly status?: object;
  /** Name and JSONPath of what `kubectl get` shows. */
  readonly columns: readonly (readonly [name: string, path: string])[];
}

const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** Lists whose items are told apart by a field, so that each writer of a status owns its own. */
function listBy(key: string, properties: object = {}): object {
  const items = { ...anything, properties: { [key]: { type: 'string' }, ...properties }, required: [key] };
  return {
    type: 'array',
    items,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [key],
  };
}

const conditions = listBy('type');
const conditioned = { ...anything, properties: { conditions } };
const ofGateway = { ...anything, properties: { conditions, listeners: listBy('name', { conditions }) } };
const ofRoute = {
  ...anything,
  properties: { parents: { type: 'array', items: anything, 'x-kubernetes-list-type': 'atomic' } },
};

const is = (condition: string) => `.status.conditions[?(@.type=="${condition}")].status`;
const HOSTNAMES = ['Hostnames', '.spec.hostnames'] as const;

const KINDS: readonly Kind[] = [
  {
    kind: 'GatewayClass',
    plural: 'gatewayclasses',
    short: 'gc',
    versions: ['v1', 'v1beta1'],
    cluster: true,
    status: conditioned,
    columns: [
      ['Controller', '.spec.controllerName'],
      ['Accepted', is('Accepted')],
    ],
  },
  {
    kind: 'Gateway',
    plural: 'gateways',
    short: 'gtw',
    versions: ['v1', 'v1beta1'],
    status: ofGateway,
    columns: [
      ['Class', '.spec.gatewayClassName'],
      ['Address', '.status.addresses[*].value'],
      ['Programmed', is('Programmed')],
    ],
  },
  {
    kind: 'HTTPRoute',
    plural: 'httproutes',
    versions: ['v1', 'v1beta1'],
    status: ofRoute,
    columns: [HOSTNAMES],
  },
  { kind: 'GRPCRoute', plural: 'grpcroutes', versions: ['v1'], status: ofRoute, columns: [HOSTNAMES] },
  { kind: 'TCPRoute', plural: 'tcproutes', versions: ['v1', 'v1alpha2'], status: ofRoute, columns: [] },
  {
    kind: 'TLSRoute',
    plural: 'tlsroutes',
    versions: ['v1', 'v1alpha2', 'v1alpha3'],
    status: ofRoute,
    columns: [HOSTNAMES],
  },
  {
    kind: 'ReferenceGrant',
    plural: 'referencegrants',
    short: 'refgrant',
    versions: ['v1beta1', 'v1'],
    columns: [],
  },
];

/** Their definitions. */
export function gatewayApiDefinitions(): readonly KubeObject[] {
  return KINDS.map(definition);
}

function definition({ kind, plural, short, versions, cluster, status, columns }: Kind): KubeObject {
  const schema = {
    openAPIV3Schema: { ...anything, properties: { spec: anything, ...(status && { status }) } },
  };
  const additionalPrinterColumns = [...columns, ['Age', '.metadata.creationTimestamp'] as const].map(
    ([name, jsonPath]) => ({ name, jsonPath, type: name === 'Age' ? 'date' : 'string' }),
  );
  const object = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${GROUP}`,
      annotations: { 'api-approved.kubernetes.io': 'unapproved, a stand-in of the lab' },
    },
    spec: {
      group: GROUP,
      scope: cluster ? 'Cluster' : 'Namespaced',
      names: {
        kind,
        plural,
        singular: kind.toLowerCase(),
        listKind: `${kind}List`,
        ...(short && { shortNames: [short] }),
      },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        schema,
        additionalPrinterColumns,
        ...(status && { subresources: { status: {} } }),
      })),
    },
  };
  return object as KubeObject;
}
