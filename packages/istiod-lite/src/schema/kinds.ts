/** Every custom kind that we define: what its CRD is made from. */
import { authorizationPolicySpec } from './authorization-policy.ts';
import { statusWithConditions } from './common.ts';
import { destinationRuleSpec } from './destination-rule.ts';
import type { StructuralSchema } from './openapi.ts';
import { peerAuthenticationSpec } from './peer-authentication.ts';
import { requestAuthenticationSpec } from './request-authentication.ts';
import { serviceEntrySpec, serviceEntryStatus } from './service-entry.ts';
import { telemetrySpec } from './telemetry.ts';
import { virtualServiceSpec } from './virtual-service.ts';
import { workloadEntrySpec } from './workload-entry.ts';

export interface CustomKind {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly versions: readonly string[];
  /** The one that is stored. */
  readonly storage: string;
  readonly description: string;
  readonly spec: StructuralSchema;
  readonly status: StructuralSchema;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly jsonPath: string;
    readonly description: string;
  }[];
}

const AGE = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'When it was made.',
} as const;

export const customKinds: readonly CustomKind[] = [
  {
    group: 'security.istio.io',
    kind: 'AuthorizationPolicy',
    plural: 'authorizationpolicies',
    singular: 'authorizationpolicy',
    shortNames: ['ap'],
    versions: ['v1', 'v1beta1'],
    storage: 'v1',
    description: 'Who may connect to which workloads.',
    spec: authorizationPolicySpec,
    status: statusWithConditions,
    columns: [
      {
        name: 'Action',
        type: 'string',
        jsonPath: '.spec.action',
        description: 'ALLOW, DENY, AUDIT or CUSTOM.',
      },
      AGE,
    ],
  },
  {
    group: 'security.istio.io',
    kind: 'PeerAuthentication',
    plural: 'peerauthentications',
    singular: 'peerauthentication',
    shortNames: ['pa'],
    versions: ['v1', 'v1beta1'],
    storage: 'v1',
    description: 'Whether workloads take connections that are not from mesh peers.',
    spec: peerAuthenticationSpec,
    status: statusWithConditions,
    columns: [
      {
        name: 'Mode',
        type: 'string',
        jsonPath: '.spec.mtls.mode',
        description: 'The mode of the whole workload.',
      },
      AGE,
    ],
  },
  {
    group: 'security.istio.io',
    kind: 'RequestAuthentication',
    plural: 'requestauthentications',
    singular: 'requestauthentication',
    shortNames: ['ra'],
    versions: ['v1', 'v1beta1'],
    storage: 'v1',
    description: 'Which tokens waypoints take, and from whom.',
    spec: requestAuthenticationSpec,
    status: statusWithConditions,
    columns: [AGE],
  },
  {
    group: 'networking.istio.io',
    kind: 'ServiceEntry',
    plural: 'serviceentries',
    singular: 'serviceentry',
    shortNames: ['se'],
    versions: ['v1', 'v1beta1', 'v1alpha3'],
    storage: 'v1',
    description: 'Services that are no Kubernetes Services: outside the cluster, or on machines.',
    spec: serviceEntrySpec,
    status: serviceEntryStatus,
    columns: [
      { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'Names that clients use.' },
      {
        name: 'Location',
        type: 'string',
        jsonPath: '.spec.location',
        description: 'MESH_EXTERNAL or MESH_INTERNAL.',
      },
      {
        name: 'Resolution',
        type: 'string',
        jsonPath: '.spec.resolution',
        description: 'How addresses of endpoints are found.',
      },
      AGE,
    ],
  },
  {
    group: 'networking.istio.io',
    kind: 'VirtualService',
    plural: 'virtualservices',
    singular: 'virtualservice',
    shortNames: ['vs'],
    versions: ['v1', 'v1beta1', 'v1alpha3'],
    storage: 'v1',
    description: 'How requests and connections to hosts go on.',
    spec: virtualServiceSpec,
    status: statusWithConditions,
    columns: [
      { name: 'Gateways', type: 'string', jsonPath: '.spec.gateways', description: 'Who heeds it.' },
      { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'What it is about.' },
      AGE,
    ],
  },
  {
    group: 'networking.istio.io',
    kind: 'DestinationRule',
    plural: 'destinationrules',
    singular: 'destinationrule',
    shortNames: ['dr'],
    versions: ['v1', 'v1beta1', 'v1alpha3'],
    storage: 'v1',
    description: 'How the endpoints of a host are used.',
    spec: destinationRuleSpec,
    status: statusWithConditions,
    columns: [
      { name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'What it is about.' },
      AGE,
    ],
  },
  {
    group: 'telemetry.istio.io',
    kind: 'Telemetry',
    plural: 'telemetries',
    singular: 'telemetry',
    shortNames: ['telemetry'],
    versions: ['v1', 'v1alpha1'],
    storage: 'v1',
    description: 'What waypoints report of requests.',
    spec: telemetrySpec,
    status: statusWithConditions,
    columns: [AGE],
  },
  {
    group: 'networking.istio.io',
    kind: 'WorkloadEntry',
    plural: 'workloadentries',
    singular: 'workloadentry',
    shortNames: ['we'],
    versions: ['v1', 'v1beta1', 'v1alpha3'],
    storage: 'v1',
    description: 'A workload that is no pod: a machine, or another address.',
    spec: workloadEntrySpec,
    status: statusWithConditions,
    columns: [
      AGE,
      { name: 'Address', type: 'string', jsonPath: '.spec.address', description: 'Where it is reached.' },
    ],
  },
];
