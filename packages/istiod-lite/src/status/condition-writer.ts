/**
 * Keeps the conditions of one kind as they should be: writes them where they differ, and whenever they come to differ.
 *
 * Written by server-side apply under a field manager of its own, as a set, which is what removes a condition that no
 * longer applies and leaves those of others alone. What cannot be written is tried again, later each time; an object
 * that is gone is let go.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { apiVersionOf, type Resource } from '@ambit/kube/resource';
import type { Condition } from '@ambit/kube/resources/core';
import { KeyedWorker } from '../keyed-worker.ts';
import type { WantedCondition } from '../translate/condition.ts';
import { type Conditioned, conditionsOf, conditionsToWrite } from './conditions.ts';

export interface ConditionWriterOptions<T extends Conditioned> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly fieldManager: string;
  /** Every type that this writer ever writes. */
  readonly types: readonly string[];
  readonly objects: Collection<string, T>;
  /** By the same keys; what is not there shall have no condition of `types`. */
  readonly wanted: Collection<string, readonly WantedCondition[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class ConditionWriter<T extends Conditioned> implements AsyncDisposable {
  readonly #options: ConditionWriterOptions<T>;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: ConditionWriterOptions<T>) {
    const { objects, wanted, fieldManager, clock, random, log } = options;
    this.#options = options;
    const work = (key: string, signal: AbortSignal) => this.#write(key, signal);
    this.#worker = this.#scope.use(new KeyedWorker({ name: fieldManager, work, clock, random, log }));
    const look = (events: readonly { readonly key: string }[]) => {
      for (const { key } of events) this.#look(key);
    };
    // Also when only the object changed: somebody may have edited its status.
    this.#scope.use(objects.subscribe(look));
    this.#scope.use(wanted.subscribe(look));
    for (const key of objects.keys()) this.#look(key);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(key: string): void {
    if (this.#toWrite(key)) this.#worker.add(key);
  }

  #toWrite(key: string): readonly Condition[] | undefined {
    const { objects, wanted, types, clock } = this.#options;
    const object = objects.get(key);
    if (!object || object.metadata.deletionTimestamp !== undefined) return undefined;
    return conditionsToWrite(conditionsOf(object, types), wanted.get(key) ?? [], clock.now());
  }

  async #write(key: string, signal: AbortSignal): Promise<void> {
    const { client, resource, fieldManager, objects } = this.#options;
    const conditions = this.#toWrite(key);
    const metadata = objects.get(key)?.metadata;
    if (!conditions || !metadata) return;
    const { name, namespace } = metadata;
    const body = {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      // The uid: never the status of one upon another of the same name.
      metadata: { name, namespace, uid: metadata.uid },
      status: { conditions },
    };
    const patch = { type: 'apply', body, force: true } as const;
    const options = { fieldManager, subresource: 'status' };
    try {
      await client.patch(resource, { name, namespace }, patch, options, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
