/** Keeps those conditions of one kind that we own as they should be, under a field manager of their own. */
import type { KubeClient } from '@ambit/kube/client';
import { isEnding, type Resource } from '@ambit/kube/resource';
import type { Condition } from '@ambit/kube/resources/core';
import type { WantedCondition } from '../translate/condition.ts';
import { applyStatus } from './apply-status.ts';
import { type Conditioned, conditionsOf, conditionsToWrite } from './conditions.ts';
import { type StatusSources, StatusWriter } from './status-writer.ts';

/** What is not in `wanted` shall have no condition of `types`. */
export interface ConditionWriterOptions<T extends Conditioned>
  extends StatusSources<T, readonly WantedCondition[]> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly fieldManager: string;
  /** Every type that this writer ever writes. */
  readonly types: readonly string[];
}

export class ConditionWriter<T extends Conditioned> extends StatusWriter<
  T,
  readonly WantedCondition[],
  readonly Condition[]
> {
  constructor(options: ConditionWriterOptions<T>) {
    const { types, fieldManager } = options;
    super({
      ...options,
      name: fieldManager,
      toWrite: (object, wanted = [], nowMs) =>
        isEnding(object) ? undefined : conditionsToWrite(conditionsOf(object, types), wanted, nowMs),
      write: (object, conditions, signal) => applyStatus(options, object, { conditions }, signal),
    });
  }
}
