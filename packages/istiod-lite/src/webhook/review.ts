/**
 * The answer to one AdmissionReview: a policy that is wrong never gets into the cluster. Pure.
 *
 * An object of a kind that we do not validate is let through; a review that cannot be read is refused.
 */
import { isKubeObject } from '@ambit/kube/resource';
import type { ServiceEntry, WorkloadEntry } from '@ambit/kube/resources/networking';
import type { AuthorizationPolicy, PeerAuthentication } from '@ambit/kube/resources/security';
import { MAX_WARNING_CHARS } from '../limits.ts';
import type { MeshSettings } from '../translate/settings.ts';
import { validateAuthorizationPolicy } from '../validate/authorization-policy.ts';
import { validatePeerAuthentication } from '../validate/peer-authentication.ts';
import type { Findings } from '../validate/problems.ts';
import { validateServiceEntry } from '../validate/service-entry.ts';
import { validateWorkloadEntry } from '../validate/workload-entry.ts';

export type ReviewSettings = Pick<MeshSettings, 'rootNamespace' | 'l7WithoutWaypoint' | 'ipAutoallocate'>;

export interface AdmissionAnswer {
  readonly apiVersion: 'admission.k8s.io/v1';
  readonly kind: 'AdmissionReview';
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: { readonly code: number; readonly message: string };
    readonly warnings?: readonly string[];
  };
}

const NOTHING: Findings = { errors: [], refusals: [], warnings: [] };

/** What is wrong with an object of a kind that we know; nothing, for any other. */
export function findingsFor(object: unknown, kind: string, settings: ReviewSettings): Findings {
  if (!isKubeObject(object)) return { errors: ['the object has no metadata'], refusals: [], warnings: [] };
  switch (kind) {
    case 'AuthorizationPolicy':
      return validateAuthorizationPolicy(object as AuthorizationPolicy, settings);
    case 'PeerAuthentication':
      return validatePeerAuthentication(object as PeerAuthentication, settings);
    case 'ServiceEntry':
      return validateServiceEntry(object as ServiceEntry, settings);
    case 'WorkloadEntry':
      return validateWorkloadEntry(object as WorkloadEntry);
    default:
      return NOTHING;
  }
}

/** `undefined` if `review` is no AdmissionReview. */
export function answerReview(review: unknown, settings: ReviewSettings): AdmissionAnswer | undefined {
  const request = requestOf(review);
  if (!request) return undefined;
  const { uid, operation, kind, object } = request;
  const relevant = operation === 'CREATE' || operation === 'UPDATE';
  const findings = relevant ? findingsFor(object, kind, settings) : NOTHING;
  const errors = [...findings.errors, ...findings.refusals];
  const { warnings } = findings;
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: errors.length === 0,
      ...(errors.length > 0 && { status: { code: 422, message: `invalid ${kind}: ${errors.join('; ')}` } }),
      ...(warnings.length > 0 && {
        warnings: warnings.map((warning) => warning.slice(0, MAX_WARNING_CHARS)),
      }),
    },
  };
}

interface ReviewRequest {
  readonly uid: string;
  readonly operation: string;
  readonly kind: string;
  readonly object: unknown;
}

function requestOf(review: unknown): ReviewRequest | undefined {
  const request = fieldOf(review, 'request');
  const uid = fieldOf(request, 'uid');
  const operation = fieldOf(request, 'operation');
  const kind = fieldOf(fieldOf(request, 'kind'), 'kind');
  if (typeof uid !== 'string' || typeof operation !== 'string' || typeof kind !== 'string') return undefined;
  return { uid, operation, kind, object: fieldOf(request, 'object') };
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
