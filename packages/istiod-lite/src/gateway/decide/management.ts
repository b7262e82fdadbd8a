/**
 * Which Gateways this control plane runs a waypoint for, which it only reports about, and which are not its own. Pure.
 *
 * A Gateway belongs to a revision by label `istio.io/rev` on it or on its namespace, which names the revision or a tag of it;
 * without one it is the default's, whoever that is. One that names where it is reached (`spec.addresses`) is run by its user.
 */
import type { Labels } from '@ambit/kube/label-selector';
import type { ObjectMeta } from '@ambit/kube/resource';
import type { Gateway, GatewayClass } from '@ambit/kube/resources/gateway';
import { WAYPOINT_CONTROLLER } from '../../translate/waypoint.ts';

/** The class that is there whether or not anybody has made its object. */
export const WAYPOINT_CLASS = 'istio-waypoint';
const REVISION_LABEL = 'istio.io/rev';
const DEFAULT_REVISION = 'default';
const CONTROLLER_VERSION_ANNOTATION = 'gateway.istio.io/controller-version';
/** As Istio counts what its controllers make; one that counts further has taken over. */
const CONTROLLER_VERSION = 5;

/**
 * `foreign`: hands off. `given-up`: its class is somebody else's now; what was made for it goes. `manual`: its user runs it.
 * `managed`: this control plane does.
 */
export type Management = 'foreign' | 'given-up' | 'manual' | 'managed';

export interface ManagementQuestion {
  readonly gateway: Gateway;
  /** The object of its class, if there is one. */
  readonly gatewayClass: GatewayClass | undefined;
  readonly namespaceLabels: Labels | undefined;
  /** Of this control plane: see {@link revisionNames}. */
  readonly names: ReadonlySet<string>;
}

export function managementOf({
  gateway,
  gatewayClass,
  namespaceLabels,
  names,
}: ManagementQuestion): Management {
  const wanted =
    gateway.metadata.labels?.[REVISION_LABEL] ?? namespaceLabels?.[REVISION_LABEL] ?? DEFAULT_REVISION;
  // Another revision, or a later controller, goes on with what is there.
  if (!names.has(wanted)) return 'foreign';
  if (controllerVersion(gateway) > CONTROLLER_VERSION) return 'foreign';
  const controller = controllerOf(gateway, gatewayClass);
  // A class that is not there may come back.
  if (controller === undefined) return 'foreign';
  if (controller !== WAYPOINT_CONTROLLER) return 'given-up';
  return isManual(gateway) ? 'manual' : 'managed';
}

/** By labels: a tag, and the revision that it stands for. `istioctl tag set` makes an object with both. */
export const TAG_LABEL = 'istio.io/tag';

/** What makes a tag. */
export type TagMaker = Pick<ObjectMeta, 'name' | 'labels'>;

/**
 * What labels call this control plane: its revision, and the tags that stand for it. Where tag `default` stands for another
 * revision, that one is the default, and what has no label is not ours: two would make one waypoint in turn.
 *
 * @param revision - Empty is the default.
 */
export function revisionNames(revision: string, tags: Iterable<TagMaker>): ReadonlySet<string> {
  const own = revisionName(revision);
  const all = [...tags];
  const names = new Set([own]);
  for (const { labels } of all) {
    const tag = labels?.[TAG_LABEL];
    if (tag && labels?.[REVISION_LABEL] === own) names.add(tag);
  }
  if (takenDefault(revision, all)) names.delete(own);
  return names;
}

/** By which object, and by which revision, a control plane that is called `default` is the default no longer. */
export interface TakenDefault {
  readonly by: string;
  readonly revision: string;
}

export function takenDefault(revision: string, tags: Iterable<TagMaker>): TakenDefault | undefined {
  const own = revisionName(revision);
  if (own !== DEFAULT_REVISION) return undefined;
  let last: TakenDefault | undefined;
  for (const { name, labels } of tags) {
    const of = labels?.[REVISION_LABEL];
    if (labels?.[TAG_LABEL] === DEFAULT_REVISION && of) last = { by: name, revision: of };
  }
  return last?.revision === own ? undefined : last;
}

/** As labels and Leases spell it. */
export function revisionName(revision: string): string {
  return revision === '' ? DEFAULT_REVISION : revision;
}

function controllerOf({ spec }: Gateway, gatewayClass: GatewayClass | undefined): string | undefined {
  if (gatewayClass) return gatewayClass.spec?.controllerName;
  return spec?.gatewayClassName === WAYPOINT_CLASS ? WAYPOINT_CONTROLLER : undefined;
}

function controllerVersion({ metadata }: Gateway): number {
  const text = metadata.annotations?.[CONTROLLER_VERSION_ANNOTATION] ?? '';
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
}

function isManual({ spec }: Gateway): boolean {
  const [first, ...more] = spec?.addresses ?? [];
  if (!first) return false;
  return more.length > 0 || (first.type ?? 'IPAddress') !== 'IPAddress';
}
