/** Every custom kind that we define: what its CRD is made from. */
import { authorizationPolicySpec } from './authorization-policy.ts';
import { statusWithConditions } from './common.ts';
import type { StructuralSchema } from './openapi.ts';
import { peerAuthenticationSpec } from './peer-authentication.ts';

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
];
