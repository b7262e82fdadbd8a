/** What a cluster's own controllers do, as far as the lab needs it: EndpointSlices for Services, a node for each pod. */
import type { Collection } from '@ambit/collections/collection';
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import type { Resource } from '@ambit/kube/resource';
import { type EndpointSlice, endpointSlices, type Pod, pods, type Service } from '@ambit/kube/resources/core';
import { Reconciler } from './reconciler.ts';
import { MANAGED_BY, slicesFor } from './slices.ts';

export interface ControllerInputs {
  readonly client: KubeClient;
  readonly pods: Collection<string, Pod>;
  readonly services: Collection<string, Service>;
  readonly endpointSlices: Collection<string, EndpointSlice>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Keeps the EndpointSlices of every Service as {@link slicesFor} says. */
export function endpointSliceController(inputs: ControllerInputs): AsyncDisposable {
  const { client, log, clock } = inputs;
  const reconciler = new Reconciler({
    name: 'endpoint slices',
    clock,
    log,
    reconcile: async (signal) => {
      const wanted = new Map<string, EndpointSlice>();
      for (const service of inputs.services.values()) {
        for (const slice of slicesFor(service, inputs.pods.values())) wanted.set(keyOf(slice), slice);
      }
      for (const [key, slice] of wanted) {
        const current = inputs.endpointSlices.get(key);
        if (current === undefined)
          await client.create(endpointSlices, slice, {}, signal).catch(ignoring(isConflict));
        else if (!sameContent(current, slice)) {
          const { resourceVersion = '' } = current.metadata;
          const next = { ...slice, metadata: { ...slice.metadata, resourceVersion } };
          // A conflict says that ours is old; its news is on the way and brings us here again.
          await client.replace(endpointSlices, next, {}, signal).catch(ignoring(isConflict));
        }
      }
      for (const [key, slice] of inputs.endpointSlices.entries()) {
        if (wanted.has(key) || !isOurs(slice)) continue;
        await client.delete(endpointSlices, slice.metadata, {}, signal).catch(ignoring(isNotFound));
      }
    },
  });
  return following(reconciler, [inputs.services, inputs.pods, inputs.endpointSlices]);
}

/** Gives pods without a node one, in turn. */
export function scheduler(inputs: ControllerInputs, nodeNames: readonly string[]): AsyncDisposable {
  const { client, log, clock } = inputs;
  let next = 0;
  const binding: Resource = { ...pods, kind: 'Binding' };
  const reconciler = new Reconciler({
    name: 'scheduling',
    clock,
    log,
    reconcile: async (signal) => {
      for (const pod of inputs.pods.values()) {
        if (pod.spec?.nodeName !== undefined || pod.metadata.deletionTimestamp !== undefined) continue;
        const target = nodeNames[next % nodeNames.length] ?? '';
        next += 1;
        const object = {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: pod.metadata,
          target: { apiVersion: 'v1', kind: 'Node', name: target },
        };
        const { name } = pod.metadata;
        await client
          .create(binding, object, { name, subresource: 'binding' }, signal)
          .catch(ignoring((error) => isConflict(error) || isNotFound(error)));
      }
    },
  });
  return following(reconciler, [inputs.pods]);
}

/** Triggers on every change of the collections, and once at the start. */
export function following(
  reconciler: Reconciler,
  collections: readonly Pick<Collection<unknown, unknown>, 'subscribe'>[],
): AsyncDisposable {
  const subscriptions = collections.map((collection) => collection.subscribe(() => reconciler.trigger()));
  reconciler.trigger();
  return {
    async [Symbol.asyncDispose]() {
      for (const subscription of subscriptions) subscription[Symbol.dispose]();
      await reconciler[Symbol.asyncDispose]();
    },
  };
}

function ignoring(expected: (error: unknown) => boolean): (error: unknown) => undefined {
  return (error) => {
    if (!expected(error)) throw error;
    return undefined;
  };
}

function keyOf({ metadata: { namespace = '', name } }: EndpointSlice): string {
  return `${namespace}/${name}`;
}

function isOurs({ metadata }: EndpointSlice): boolean {
  return metadata.labels?.['endpointslice.kubernetes.io/managed-by'] === MANAGED_BY;
}

function sameContent(a: EndpointSlice, b: EndpointSlice): boolean {
  const content = ({ endpoints = [], ports = [] }: EndpointSlice) => JSON.stringify([endpoints, ports]);
  return content(a) === content(b);
}
