/** Conditions of an object's status that one writer owns: whether they are as they should be. Pure. */
import type { KubeObject } from '@ambit/kube/resource';
import type { Condition } from '@ambit/kube/resources/core';
import { storable, type WantedCondition } from '../translate/condition.ts';

/** A kind with conditions in its status. */
export interface Conditioned extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/**
 * All conditions as they are to be written, which removes those that are not wanted; `undefined` if `current` is exactly
 * these.
 *
 * @param current - Of the types that the writer owns.
 * @param nowMs - Since 1970: when a condition that turns was last different.
 */
export function conditionsToWrite(
  current: readonly Condition[],
  wanted: readonly WantedCondition[],
  nowMs: number,
): readonly Condition[] | undefined {
  const next = writtenConditions(current, wanted, nowMs);
  return current.length === next.length && sayAll(current, next) ? undefined : next;
}

/** As {@link conditionsToWrite}, also if nothing changes. */
export function writtenConditions(
  current: readonly Condition[],
  wanted: readonly WantedCondition[],
  nowMs: number,
): readonly Condition[] {
  return wanted.map((condition) => written(condition, ofType(current, condition.type), nowMs));
}

/** Whether what was `written` stands among `current` conditions, whatever else does. Since when each holds does not matter. */
export function sayAll(current: readonly Condition[], written: readonly Condition[]): boolean {
  return written.every((each) => says(ofType(current, each.type), each));
}

/** Those conditions of an object that a writer owns. */
export function conditionsOf({ status }: Conditioned, types: readonly string[]): readonly Condition[] {
  return (status?.conditions ?? []).filter(({ type }) => types.includes(type));
}

function ofType(conditions: readonly Condition[], type: string): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
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
    message: storable(message),
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
