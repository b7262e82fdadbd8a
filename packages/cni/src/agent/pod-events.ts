/**
 * Kubernetes Events about pods: what this agent could not do for one, and what it did that nobody asked for.
 *
 * Bounded: the same about the same pod is told again only after a while, and no more in a minute than a limit, whatever
 * happens to the node. An Event that cannot be told is a log line, and nothing waits for it.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import type { Pod } from '@ambit/kube/resources/core';
import {
  EVENT_MESSAGE_MAX_CHARS,
  EVENT_REPEAT_MS,
  EVENT_TIMEOUT_MS,
  EVENTS_PER_MINUTE,
  MAX_REMEMBERED_EVENTS,
} from './limits.ts';

export interface PodEvent {
  readonly type: 'Normal' | 'Warning';
  /** In one word, as Kubernetes has them: `EnrolmentFailed`. */
  readonly reason: string;
  readonly message: string;
  /** What makes it another Event than the last with its reason: an error's code. */
  readonly about: string;
}

export interface PodEventsOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const MINUTE_MS = 60_000;
const COMPONENT = 'istio-cni-node';
const events: Resource = { group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };

export class PodEvents {
  readonly #options: PodEventsOptions;
  /** When each was told, oldest first. */
  readonly #told = new Map<string, number>();
  #minuteMs = Number.NEGATIVE_INFINITY;
  #inMinute = 0;
  #count = 0;

  constructor(options: PodEventsOptions) {
    this.#options = options;
  }

  tell(pod: Pod, event: PodEvent): void {
    if (this.#isTooMuch(`${pod.metadata.uid} ${event.reason} ${event.about}`)) return;
    const { client, clock, log } = this.#options;
    this.#count += 1;
    const name = `${pod.metadata.name}.${clock.now().toString(16)}${this.#count.toString(16)}`;
    client
      .create(events, this.#objectOf(pod, event, name), {}, AbortSignal.timeout(EVENT_TIMEOUT_MS))
      .catch((error: unknown) =>
        log.warn('an event about a pod could not be told', {
          pod: `${pod.metadata.namespace}/${pod.metadata.name}`,
          reason: event.reason,
          error: messageOf(error),
        }),
      );
  }

  #isTooMuch(key: string): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    const toldMs = this.#told.get(key);
    if (toldMs !== undefined && nowMs - toldMs < EVENT_REPEAT_MS) return true;
    if (nowMs - this.#minuteMs >= MINUTE_MS) {
      this.#minuteMs = nowMs;
      this.#inMinute = 0;
    }
    if (this.#inMinute >= EVENTS_PER_MINUTE) return true;
    this.#inMinute += 1;
    this.#told.delete(key);
    this.#told.set(key, nowMs);
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= MAX_REMEMBERED_EVENTS) break;
      this.#told.delete(oldest);
    }
    return false;
  }

  #objectOf({ metadata }: Pod, { type, reason, message }: PodEvent, name: string): KubeObject {
    const { nodeName, clock } = this.#options;
    const at = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const namespace = metadata.namespace ?? '';
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      ...{
        involvedObject: {
          apiVersion: 'v1',
          kind: 'Pod',
          name: metadata.name,
          namespace,
          uid: metadata.uid,
          resourceVersion: metadata.resourceVersion,
        },
        type,
        reason,
        message:
          message.length > EVENT_MESSAGE_MAX_CHARS
            ? `${message.slice(0, EVENT_MESSAGE_MAX_CHARS)}…`
            : message,
        source: { component: COMPONENT, host: nodeName },
        reportingComponent: COMPONENT,
        reportingInstance: nodeName,
        firstTimestamp: at,
        lastTimestamp: at,
        count: 1,
      },
    };
  }
}
