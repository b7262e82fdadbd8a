/**
 * What users change of a waypoint's objects: texts in ConfigMaps, laid over what was rendered, one after another. Pure.
 *
 * An overlay changes what an object is like, not which object it is or whose: that is refused. The autoscaler and the
 * disruption budget may be taken away (`$patch: delete`); who sets a number of replicas takes the autoscaler away with it.
 * One that stands beside a Gateway is of somebody who may be allowed no pods at all, and gives nobody a node: see
 * escalation.ts.
 */
import { messageOf } from '@ambit/core/errors';
import type { ConfigMap } from '@ambit/kube/resources/core';
import { parse } from 'yaml';
import { MAX_OVERLAY_CHARS, MAX_OVERLAY_DEPTH } from '../../limits.ts';
import { escalation } from './escalation.ts';
import { type Manifest, type Part, PARTS, RESOURCE_OF, type WaypointObjects } from './manifest.ts';
import { AUTOSCALE_MIN } from './pod-settings.ts';
import { type Fields, isFields, PatchProblem, strategicMerge } from './strategic-merge.ts';

export interface Overlay {
  /** For people: `ConfigMap shop/options`. */
  readonly from: string;
  readonly texts: Readonly<Partial<Record<Part, string>>>;
  /** Whether it is of whoever runs the control plane, who may do anything. */
  readonly isTrusted: boolean;
}

export type Overlaid =
  | { readonly kind: 'objects'; readonly objects: WaypointObjects }
  | { readonly kind: 'problem'; readonly message: string };

/** Those of our keys that a ConfigMap has. */
export function overlayOf({ metadata, data = {} }: ConfigMap, isTrusted: boolean): Overlay {
  const texts = PARTS.flatMap((part) => (data[part] === undefined ? [] : [[part, data[part]] as const]));
  return {
    from: `ConfigMap ${metadata.namespace ?? ''}/${metadata.name}`,
    texts: Object.fromEntries(texts),
    isTrusted,
  };
}

/** @param minReplicas - What a Deployment without an autoscaler gets when nobody says how many it shall have. */
export function overlaid(
  rendered: WaypointObjects,
  overlays: readonly Overlay[],
  minReplicas = AUTOSCALE_MIN,
): Overlaid {
  try {
    const parts: Record<Part, Manifest | undefined> = { ...rendered };
    for (const { from, texts, isTrusted } of overlays) {
      for (const part of PARTS) {
        const text = texts[part];
        // One that an earlier overlay took away comes back with what a later one says of it.
        const current = parts[part] ?? rendered[part];
        if (text === undefined || text.trim() === '') continue;
        const where = `${from}: ${part}`;
        const next = laidOver(where, part, current, text);
        const gained = isTrusted ? undefined : escalation(current, next);
        if (gained !== undefined) throw new PatchProblem(`${where}: ${gained}`);
        parts[part] = next;
      }
    }
    return { kind: 'objects', objects: withReplicas(parts, overlays, minReplicas) };
  } catch (error) {
    if (error instanceof PatchProblem) return { kind: 'problem', message: error.message };
    throw error;
  }
}

function laidOver(
  where: string,
  part: Part,
  target: Manifest | undefined,
  text: string,
): Manifest | undefined {
  if (!target) return undefined;
  const patch = parsed(where, text);
  let merged: Fields | undefined;
  try {
    merged = strategicMerge({ ...target }, patch);
  } catch (error) {
    throw new PatchProblem(`${where}: ${messageOf(error)}`);
  }
  if (!merged) {
    if (part === 'horizontalPodAutoscaler' || part === 'podDisruptionBudget') return undefined;
    throw new PatchProblem(`${where}: a waypoint cannot do without it`);
  }
  return ofTheSame(where, merged, target);
}

function parsed(where: string, text: string): Fields {
  if (text.length > MAX_OVERLAY_CHARS)
    throw new PatchProblem(`${where}: longer than ${MAX_OVERLAY_CHARS} characters`);
  let value: unknown;
  try {
    // What is odd but can be read is no news for our standard error. Aliases are not worth what they may cost.
    value = parse(text, { logLevel: 'error', maxAliasCount: 0 });
  } catch (error) {
    throw new PatchProblem(`${where}: ${messageOf(error).split('\n')[0] ?? ''}`);
  }
  if (!isFields(value)) throw new PatchProblem(`${where}: is no object`);
  if (isDeeperThan(MAX_OVERLAY_DEPTH, value))
    throw new PatchProblem(`${where}: nested deeper than ${MAX_OVERLAY_DEPTH} levels`);
  return value;
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => isDeeperThan(levels - 1, child));
}

/** The merged object if it is still the one that was rendered; what says whose it is stays as it was. */
function ofTheSame(where: string, merged: Fields, target: Manifest): Manifest {
  const metadata = isFields(merged['metadata']) ? merged['metadata'] : {};
  const identity = [
    ['apiVersion', merged['apiVersion'], target.apiVersion],
    ['kind', merged['kind'], target.kind],
    ['metadata.name', metadata['name'], target.metadata.name],
    ['metadata.namespace', metadata['namespace'], target.metadata.namespace],
  ] as const;
  const changed = identity.find(([, now, before]) => now !== before);
  if (changed)
    throw new PatchProblem(`${where}: ${changed[0]} cannot be changed, it stays ${changed[2] ?? ''}`);
  const labels = isFields(metadata['labels']) ? metadata['labels'] : {};
  const own = Object.entries(target.metadata.labels ?? {}).filter(([name]) => IDENTITY_LABELS.has(name));
  return {
    ...merged,
    apiVersion: target.apiVersion,
    kind: target.kind,
    metadata: {
      ...metadata,
      name: target.metadata.name,
      labels: { ...(labels as Readonly<Record<string, string>>), ...Object.fromEntries(own) },
      ownerReferences: target.metadata.ownerReferences ?? [],
    },
  };
}

/** By these an object is found again. */
const IDENTITY_LABELS: ReadonlySet<string> = new Set([
  'gateway.networking.k8s.io/gateway-name',
  'gateway.istio.io/managed',
]);

function withReplicas(
  parts: Readonly<Record<Part, Manifest | undefined>>,
  overlays: readonly Overlay[],
  minReplicas: number,
): WaypointObjects {
  const { serviceAccount, service, deployment, podDisruptionBudget } = parts;
  if (!serviceAccount || !service || !deployment)
    throw new PatchProblem(`a waypoint needs ${RESOURCE_OF.deployment.kind}, Service and ServiceAccount`);
  const said = deployment.spec?.['replicas'] !== undefined;
  const wantsScaling = overlays.some(({ texts }) => texts.horizontalPodAutoscaler !== undefined);
  const horizontalPodAutoscaler = said && !wantsScaling ? undefined : parts.horizontalPodAutoscaler;
  const replicas = horizontalPodAutoscaler || said ? {} : { replicas: minReplicas };
  return {
    serviceAccount,
    service,
    deployment: { ...deployment, spec: { ...deployment.spec, ...replicas } },
    horizontalPodAutoscaler,
    podDisruptionBudget,
  };
}
