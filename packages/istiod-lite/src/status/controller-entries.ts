/**
 * Lists in a status in which each controller has entries of its own, with what it says of one thing: the parents of a route,
 * the ancestors of a policy. Whether those of one controller are as they should be. Pure.
 */
import type { BackendTlsPolicy, PolicyAncestorStatus } from '@ambit/kube/resources/backend-tls';
import type { Condition } from '@ambit/kube/resources/core';
import type { ParentReference, Route, RouteParentStatus } from '@ambit/kube/resources/routes';
import { WAYPOINTS_TAKE_NONE } from '../translate/routes/parents.ts';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { conditionsToWrite, writtenConditions } from './conditions.ts';

export interface ControllerEntry {
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
}

/** How such a list is written in objects of one kind. */
export interface EntryList<T, E extends ControllerEntry> {
  /** Of the status. */
  readonly field: string;
  /** That the API server takes. */
  readonly maxEntries: number;
  entriesOf(object: T): readonly E[];
  referenceOf(entry: E): ParentReference;
  entry(reference: ParentReference, controllerName: string, conditions: readonly Condition[]): E;
  /** Whether an entry under our name that we do not want may be of somebody else who bears it. */
  mayBeAnothers(object: T, entry: E): boolean;
}

export const PARENTS: EntryList<Route<unknown>, RouteParentStatus> = {
  field: 'parents',
  maxEntries: 32,
  entriesOf: ({ status }) => status?.parents ?? [],
  referenceOf: ({ parentRef }) => parentRef,
  entry: (parentRef, controllerName, conditions) => ({ parentRef, controllerName, conditions }),
  // Istio's own control plane bears the same name where it runs ingress gateways beside us. What we say of waypoints as
  // parents, it does not.
  mayBeAnothers: ({ spec }, { parentRef, conditions = [] }) =>
    (parentRef.kind ?? 'Gateway') === 'Gateway' &&
    !conditions.some(({ message = '' }) => message.includes(WAYPOINTS_TAKE_NONE)) &&
    (spec?.parentRefs ?? []).some((reference) => sameReference(reference, parentRef)),
};

export const ANCESTORS: EntryList<BackendTlsPolicy, PolicyAncestorStatus> = {
  field: 'ancestors',
  maxEntries: 16,
  entriesOf: ({ status }) => status?.ancestors ?? [],
  referenceOf: ({ ancestorRef }) => ancestorRef,
  entry: (ancestorRef, controllerName, conditions) => ({ ancestorRef, controllerName, conditions }),
  mayBeAnothers: () => false,
};

/**
 * The whole list as it is to be written, in which entries of other controllers stay as they are; `undefined` if it is as
 * it should be. Where others have left too little room, what is last has none.
 *
 * @param nowMs - Since 1970: when a condition that turns was last different.
 */
export function entriesToWrite<T, E extends ControllerEntry>(
  { entriesOf, referenceOf, entry, maxEntries, mayBeAnothers }: EntryList<T, E>,
  object: T,
  controllerName: string,
  wanted: readonly WantedParent[],
  nowMs: number,
): readonly E[] | undefined {
  const current = entriesOf(object);
  const isWanted = (each: E) => wanted.some(({ parentRef }) => sameReference(referenceOf(each), parentRef));
  const isOurs = (each: E) =>
    each.controllerName === controllerName && (isWanted(each) || !mayBeAnothers(object, each));
  const ours = current.filter(isOurs);
  const others = current.filter((each) => !isOurs(each));
  const fitting = wanted.slice(0, Math.max(maxEntries - others.length, 0));
  const currentOf = (reference: ParentReference) =>
    ours.find((each) => sameReference(referenceOf(each), reference));
  const same =
    ours.length === fitting.length &&
    fitting.every(({ parentRef, conditions }) => {
      const found = currentOf(parentRef);
      return found && conditionsToWrite(found.conditions ?? [], conditions, nowMs) === undefined;
    });
  if (same) return undefined;
  return [
    ...others,
    ...fitting.map(({ parentRef, conditions }) =>
      entry(
        parentRef,
        controllerName,
        writtenConditions(currentOf(parentRef)?.conditions ?? [], conditions, nowMs),
      ),
    ),
  ];
}

const FIELDS = ['group', 'kind', 'namespace', 'name', 'sectionName', 'port'] as const;

function sameReference(a: ParentReference, b: ParentReference): boolean {
  return FIELDS.every((field) => a[field] === b[field]);
}
