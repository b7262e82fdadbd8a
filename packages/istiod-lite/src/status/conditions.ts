/** Conditions of an object's status that one writer owns: whether they are as they should be. Pure. */
import type { KubeObject } from '@ambit/kube/resource';
import type { Condition } from '@ambit/kube/resources/core';
import type { WantedCondition } from '../translate/condition.ts';

/** A kind with conditions in its status. */
export interface Conditioned extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/**
 * All conditions of `types` as they are to be written, which removes those that are not wanted; `undefined` if `object`
 * has exactly these.
 *
 * @param nowMs - Since 1970: when a condition that turns was last different.
 */
export function conditionsToWrite(
  object: Conditioned,
  types: readonly string[],
  wanted: readonly WantedCondition[],
  nowMs: number,
): readonly Condition[] | undefined {
  const current = (object.status?.conditions ?? []).filter(({ type }) => types.includes(type));
  const currentOf = (type: string) => current.find((condition) => condition.type === type);
  const next = wanted.map((condition) => written(condition, currentOf(condition.type), nowMs));
  const same = current.length === next.length && next.every((each) => says(currentOf(each.type), each));
  return same ? undefined : next;
}

function written(
  { type, isTrue, reason, message, observedGeneration }: WantedCondition,
  current: Condition | undefined,
  nowMs: number,
): Condition {
  const status = isTrue ? 'True' : 'False';
  const now = new Date(nowMs).toISOString().replace(/\.\d+/, '');
  return {
    type,
    status,
    reason,
    message,
    ...(observedGeneration !== undefined && { observedGeneration }),
    lastTransitionTime: current?.status === status ? (current.lastTransitionTime ?? now) : now,
  };
}

function says(current: Condition | undefined, wanted: Condition): boolean {
  return (
    current?.status === wanted.status &&
    current.reason === wanted.reason &&
    current.message === wanted.message &&
    current.observedGeneration === wanted.observedGeneration
  );
}
