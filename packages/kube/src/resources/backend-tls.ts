/** The Gateway API's BackendTLSPolicy, with the fields that we read. */
import type { KubeObject, Resource } from '../resource.ts';
import type { Condition } from './core.ts';
import type { ParentReference } from './routes.ts';

/** In the policy's own namespace. */
export interface BackendTlsTarget {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  /** Of a Service the name of a port. */
  readonly sectionName?: string;
}

export interface SubjectAltName {
  readonly type: string;
  readonly hostname?: string;
  readonly uri?: string;
}

export interface BackendTlsValidation {
  readonly caCertificateRefs?: readonly {
    readonly group: string;
    readonly kind: string;
    readonly name: string;
  }[];
  readonly wellKnownCACertificates?: string;
  readonly hostname?: string;
  readonly subjectAltNames?: readonly SubjectAltName[];
}

/** One entry of a policy's status: a controller writes those with its own name. */
export interface PolicyAncestorStatus {
  readonly ancestorRef: ParentReference;
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
}

export interface BackendTlsPolicy extends KubeObject {
  readonly spec?: {
    readonly targetRefs?: readonly BackendTlsTarget[];
    readonly validation?: BackendTlsValidation;
  };
  readonly status?: { readonly ancestors?: readonly PolicyAncestorStatus[] };
}

export const backendTlsPolicies: Resource<BackendTlsPolicy> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  olderVersions: ['v1alpha3'],
  kind: 'BackendTLSPolicy',
  plural: 'backendtlspolicies',
  namespaced: true,
};
