/** The parents in a route's status: whether those of one controller are as they should be. Pure. */
import type { ParentReference, Route, RouteParentStatus } from '@ambit/kube/resources/routes';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { conditionsToWrite, writtenConditions } from './conditions.ts';

/**
 * The whole list as it is to be written, in which entries of other controllers stay as they are; `undefined` if it is as
 * it should be.
 *
 * @param nowMs - Since 1970: when a condition that turns was last different.
 */
export function parentsToWrite(
  route: Pick<Route<unknown>, 'status'>,
  controllerName: string,
  wanted: readonly WantedParent[],
  nowMs: number,
): readonly RouteParentStatus[] | undefined {
  const current = route.status?.parents ?? [];
  const ours = current.filter((parent) => parent.controllerName === controllerName);
  const currentOf = (reference: ParentReference) =>
    ours.find(({ parentRef }) => sameReference(parentRef, reference));
  const same =
    ours.length === wanted.length &&
    wanted.every(({ parentRef, conditions }) => {
      const found = currentOf(parentRef);
      return found && conditionsToWrite(found.conditions ?? [], conditions, nowMs) === undefined;
    });
  if (same) return undefined;
  return [
    ...current.filter((parent) => parent.controllerName !== controllerName),
    ...wanted.map(({ parentRef, conditions }) => ({
      parentRef,
      controllerName,
      conditions: writtenConditions(currentOf(parentRef)?.conditions ?? [], conditions, nowMs),
    })),
  ];
}

const FIELDS = ['group', 'kind', 'namespace', 'name', 'sectionName', 'port'] as const;

function sameReference(a: ParentReference, b: ParentReference): boolean {
  return FIELDS.every((field) => a[field] === b[field]);
}
