/**
 * The answer to one AdmissionReview: a policy that is wrong never gets into the cluster. Pure.
 *
 * An object of a kind that we do not validate is let through; a review that cannot be read is refused.
 */
import { isDeepStrictEqual } from 'node:util';
import { isKubeObject } from '@ambit/kube/resource';
import type {
  DestinationRule,
  ServiceEntry,
  VirtualService,
  WorkloadEntry,
} from '@ambit/kube/resources/networking';
import type { Service } from '@ambit/kube/resources/core';
import type { Telemetry } from '@ambit/kube/resources/telemetry';
import type {
  AuthorizationPolicy,
  PeerAuthentication,
  RequestAuthentication,
} from '@ambit/kube/resources/security';
import { MAX_REFUSAL_CHARS, MAX_WARNING_CHARS, MAX_WARNINGS } from '../limits.ts';
import type { MeshSettings } from '../translate/settings.ts';
import { addressesOfOthers } from '../validate/allotted-addresses.ts';
import {
  adviceOnMode,
  adviceOnPeerAuthentication,
  adviceOnPolicy,
  adviceOnHosts,
  adviceOnRequestAuthentication,
  adviceOnTelemetry,
  adviceOnWaypoint,
} from '../validate/advice.ts';
import { checkedService, healthCheckProblem } from '../translate/destinations/health-check.ts';
import { isForMesh } from '../translate/virtual-services/scope.ts';
import { validateAuthorizationPolicy } from '../validate/authorization-policy.ts';
import { validateDestinationRule } from '../validate/destination-rule.ts';
import { validatePeerAuthentication } from '../validate/peer-authentication.ts';
import type { Findings } from '../validate/problems.ts';
import { validateRequestAuthentication } from '../validate/request-authentication.ts';
import { validateServiceEntry } from '../validate/service-entry.ts';
import { validateTelemetry } from '../validate/telemetry.ts';
import { validateVirtualService } from '../validate/virtual-service.ts';
import { validateWorkloadEntry } from '../validate/workload-entry.ts';
import type { World } from '../validate/world.ts';

export type ReviewSettings = Pick<MeshSettings, 'rootNamespace' | 'l7WithoutWaypoint' | 'ipAutoallocate'>;

export interface ReviewContext {
  readonly settings: ReviewSettings;
  readonly world: World;
}

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
    case 'RequestAuthentication':
      return validateRequestAuthentication(object as RequestAuthentication);
    case 'ServiceEntry':
      return validateServiceEntry(object as ServiceEntry, settings);
    case 'VirtualService':
      return validateVirtualService(object as VirtualService);
    case 'DestinationRule':
      return validateDestinationRule(object as DestinationRule);
    case 'Telemetry':
      return validateTelemetry(object as Telemetry);
    case 'WorkloadEntry':
      return validateWorkloadEntry(object as WorkloadEntry);
    case 'Service':
      return validateService(object as Service);
    default:
      return NOTHING;
  }
}

/** Of what is ours of it: nothing keeps a Service from being written. */
function validateService(service: Service): Findings {
  const problem = healthCheckProblem(checkedService(service));
  return problem === undefined ? NOTHING : { ...NOTHING, warnings: [`${ANNOTATIONS}: ${problem}`] };
}

/** `undefined` if `review` is no AdmissionReview. */
export function answerReview(review: unknown, context: ReviewContext): AdmissionAnswer | undefined {
  const request = requestOf(review);
  if (!request) return undefined;
  const { uid, kind, object } = request;
  const change = changeIn(request);
  const relevant = change === 'all';
  const found = change === 'none' ? NOTHING : findingsFor(object, kind, context.settings);
  const findings = relevant ? found : aboutAnnotations(found);
  const errors = [
    ...(isCheck(object) ? [CHECKED] : []),
    ...findings.errors,
    ...findings.refusals,
    ...(relevant && findings.errors.length === 0 ? conflictsOf(object, kind, context.world) : []),
  ];
  const advice = relevant && errors.length === 0 ? adviceOn(object, kind, context.world) : [];
  const warnings = [...findings.warnings, ...advice].slice(0, MAX_WARNINGS);
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: errors.length === 0,
      ...(errors.length > 0 && { status: { code: 422, message: refusalOf(kind, errors) } }),
      ...(warnings.length > 0 && {
        warnings: warnings.map((warning) => shortened(warning, MAX_WARNING_CHARS)),
      }),
    },
  };
}

/** One that is cut shows it: what stands at its end may be meant to be copied. */
function shortened(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars - 1)}…` : text;
}

function refusalOf(kind: string, errors: readonly string[]): string {
  return shortened(`invalid ${kind}: ${errors.join('; ')}`, MAX_REFUSAL_CHARS);
}

/** What keeps an object that is right by itself out of this cluster. */
function conflictsOf(object: unknown, kind: string, world: World): Iterable<string> {
  return kind === 'ServiceEntry' && isKubeObject(object)
    ? addressesOfOthers(object as ServiceEntry, world)
    : [];
}

/** What an object that is right by itself will not do in this cluster. */
export function adviceOn(object: unknown, kind: string, world: World): readonly string[] {
  if (!isKubeObject(object)) return [];
  switch (kind) {
    case 'AuthorizationPolicy':
      return [...adviceOnPolicy(object as AuthorizationPolicy, world)];
    case 'PeerAuthentication':
      return [...adviceOnPeerAuthentication(object as PeerAuthentication, world)];
    case 'RequestAuthentication':
      return [...adviceOnRequestAuthentication(object as RequestAuthentication, world)];
    case 'Telemetry':
      return [...adviceOnTelemetry(object as Telemetry, world)];
    case 'VirtualService': {
      const { metadata, spec = {} } = object as VirtualService;
      return isForMesh(spec.gateways)
        ? [...adviceOnHosts(spec.hosts ?? [], 'spec.hosts', metadata.namespace ?? '', world)]
        : [];
    }
    case 'Namespace':
      return [...adviceOnMode(kind, object.metadata), ...adviceOnWaypoint(kind, object.metadata, world)];
    case 'Pod':
      return [...adviceOnMode(kind, object.metadata)];
    case 'Service':
    case 'ServiceEntry':
    case 'WorkloadEntry':
      return adviceOnWaypoint(kind, object.metadata, world);
    default:
      return [];
  }
}

/**
 * One that is wrong already may still be labelled, annotated, and lose its finalizers. One that is being deleted is in force until it
 * is gone, so what it says is looked at all the same.
 */
function changeIn({ operation, kind, object, oldObject }: ReviewRequest): 'all' | 'annotations' | 'none' {
  if (operation === 'CREATE') return 'all';
  if (operation !== 'UPDATE') return 'none';
  const counts = (of: unknown) =>
    kind === 'Namespace' || kind === 'Service'
      ? fieldOf(fieldOf(of, 'metadata'), 'labels')
      : fieldOf(of, 'spec');
  if (oldObject === undefined || !isDeepStrictEqual(counts(object), counts(oldObject))) return 'all';
  return isDeepStrictEqual(ourAnnotations(object), ourAnnotations(oldObject)) ? 'none' : 'annotations';
}

const ANNOTATIONS = 'metadata.annotations';

function ourAnnotations(object: unknown): readonly (readonly [string, unknown])[] {
  const annotations = fieldOf(fieldOf(object, 'metadata'), 'annotations');
  return Object.entries(annotations ?? {})
    .filter(([name]) => name.startsWith('ambit.mesh/'))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function aboutAnnotations({ warnings }: Findings): Findings {
  return { ...NOTHING, warnings: warnings.filter((warning) => warning.startsWith(ANNOTATIONS)) };
}

/** On an object that is always refused: so we find out whether the API server asks us; see registration.ts. */
export const ALWAYS_REJECT_ANNOTATION = 'internal.istio.io/webhook-always-reject';
const CHECKED = `metadata.annotations: refused for the sake of ${ALWAYS_REJECT_ANNOTATION}`;

function isCheck(object: unknown): boolean {
  return isKubeObject(object) && object.metadata.annotations?.[ALWAYS_REJECT_ANNOTATION] === 'true';
}

interface ReviewRequest {
  readonly uid: string;
  readonly operation: string;
  readonly kind: string;
  readonly object: unknown;
  readonly oldObject: unknown;
}

function requestOf(review: unknown): ReviewRequest | undefined {
  const request = fieldOf(review, 'request');
  const uid = fieldOf(request, 'uid');
  const operation = fieldOf(request, 'operation');
  const kind = fieldOf(fieldOf(request, 'kind'), 'kind');
  if (typeof uid !== 'string' || typeof operation !== 'string' || typeof kind !== 'string') return undefined;
  const [object, oldObject] = [fieldOf(request, 'object'), fieldOf(request, 'oldObject') ?? undefined];
  return { uid, operation, kind, object, oldObject };
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
