/**
 * Kubernetes Events: what a component could not do for an object, and what it did that nobody asked for.
 *
 * Bounded: the same about the same object is told again only after a while, and no more in a minute than a limit, whatever
 * happens to the cluster. An Event that cannot be told is a log line, and nothing waits for it.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from './client.ts';
import {
  EVENT_MESSAGE_MAX_CHARS,
  EVENT_REPEAT_MS,
  EVENT_TIMEOUT_MS,
  EVENTS_PER_MINUTE,
  MAX_REMEMBERED_EVENTS,
} from './limits.ts';
import { apiVersionOf, type KubeObject, keyOf, type Resource } from './resource.ts';

export interface ObjectEvent {
  readonly type: 'Normal' | 'Warning';
  /** In one word, as Kubernetes has them: `EnrolmentFailed`. */
  readonly reason: string;
  readonly message: string;
  /** What makes it another Event than the last with its reason: an error's code. */
  readonly about: string;
}

export interface EventTellerOptions {
  readonly client: Pick<KubeClient, 'create'>;
  /** Who tells: `istio-cni-node`. */
  readonly component: string;
  /** Which one of them: the name of its node, or of its pod. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const MINUTE_MS = 60_000;
const events: Resource = { group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };

/** For namespaced objects: the Event stands beside what it is about. */
export class EventTeller {
  readonly #options: EventTellerOptions;
  /** When each was told, oldest first. */
  readonly #told = new Map<string, number>();
  #minuteMs = Number.NEGATIVE_INFINITY;
  #inMinute = 0;
  #count = 0;

  constructor(options: EventTellerOptions) {
    this.#options = options;
  }

  tell(resource: Resource, object: KubeObject, event: ObjectEvent): void {
    const key = keyOf(object);
    if (this.#isTooMuch(`${resource.plural} ${object.metadata.uid ?? key} ${event.reason} ${event.about}`))
      return;
    const { client, clock, log } = this.#options;
    this.#count += 1;
    const name = `${object.metadata.name}.${clock.now().toString(16)}${this.#count.toString(16)}`;
    client
      .create(
        events,
        this.#objectOf(resource, object, event, name),
        {},
        AbortSignal.timeout(EVENT_TIMEOUT_MS),
      )
      .catch((error: unknown) =>
        log.warn('an event could not be told', {
          kind: resource.kind,
          object: key,
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

  #objectOf(
    resource: Resource,
    { metadata }: KubeObject,
    { type, reason, message }: ObjectEvent,
    name: string,
  ): KubeObject {
    const { component, instance, clock } = this.#options;
    const at = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const namespace = metadata.namespace ?? '';
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      ...{
        involvedObject: {
          apiVersion: apiVersionOf(resource),
          kind: resource.kind,
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
        source: { component, host: instance },
        reportingComponent: component,
        reportingInstance: instance,
        firstTimestamp: at,
        lastTimestamp: at,
        count: 1,
      },
    };
  }
}
