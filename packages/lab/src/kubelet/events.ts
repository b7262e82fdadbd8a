/** Tells what happened to a pod as Kubernetes events, so that `kubectl describe` shows why it does not start. */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import type { Pod } from '@ambit/kube/resources/core';
import { MAX_EVENT_MESSAGE_CHARS } from './limits.ts';
import { timestamp } from './timestamp.ts';

const events: Resource = { group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };

export interface PodEvent {
  readonly type: 'Normal' | 'Warning';
  /** As kubelets name it: `FailedCreatePodSandBox`. */
  readonly reason: string;
  readonly message: string;
}

export interface EventSink {
  readonly client: KubeClient;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Never rejects: an event that cannot be told is a log line. */
export async function tellEvent(sink: EventSink, { metadata }: Pod, event: PodEvent): Promise<void> {
  const { client, nodeName, clock, log } = sink;
  const now = timestamp(clock.now());
  const namespace = metadata.namespace ?? 'default';
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${metadata.name}.${clock.now().toString(16)}`, namespace },
    ...{
      involvedObject: {
        apiVersion: 'v1',
        kind: 'Pod',
        name: metadata.name,
        namespace,
        uid: metadata.uid,
        resourceVersion: metadata.resourceVersion,
      },
      type: event.type,
      reason: event.reason,
      message: event.message.slice(0, MAX_EVENT_MESSAGE_CHARS),
      source: { component: 'kubelet', host: nodeName },
      reportingComponent: 'kubelet',
      reportingInstance: nodeName,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    },
  };
  try {
    await client.create(events, object);
  } catch (error) {
    log.debug('an event cannot be told', { pod: metadata.name, error: messageOf(error) });
  }
}
