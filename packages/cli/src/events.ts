/** What Kubernetes and the mesh noted about an object: Events, the newest of which often is the cause. */
import type { ObjectMeta, Resource } from '@ambit/kube/resource';
import type { Context } from './context.ts';
import { objectOf, textOf } from './json-value.ts';
import { MAX_REASON_CHARS } from './limits.ts';
import { printable } from './table.ts';

const events: Resource = { group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };

/** What is asked about. One that was made anew under the name of another has another UID, and other events. */
type About = Pick<ObjectMeta, 'namespace' | 'name' | 'uid'>;

interface Wanted {
  /** Those before are about what has passed. Default: all. */
  readonly sinceMs?: number | undefined;
  /** Only with this reason. */
  readonly reason?: string;
  /** None with these reasons. */
  readonly without?: readonly string[];
}

interface ObjectEvent {
  /** Of the object; empty if the event does not say. */
  readonly uid: string;
  readonly reason: string;
  readonly message: string;
  readonly timeMs: number;
}

/** `Reason: message`. An event is a hint: that it cannot be read spoils nothing. */
export async function lastEvent(
  context: Pick<Context, 'client' | 'signal'>,
  about: About,
  wanted: Wanted = {},
): Promise<string | undefined> {
  const last = await findLast(context, about, wanted);
  return last && `${last.reason}: ${printable(last.message, MAX_REASON_CHARS)}`;
}

/** As {@link lastEvent}, in parts and whole. */
export async function findLast(
  { client, signal }: Pick<Context, 'client' | 'signal'>,
  { namespace = '', name, uid = '' }: About,
  { sinceMs = Number.NEGATIVE_INFINITY, reason, without = [] }: Wanted,
): Promise<ObjectEvent | undefined> {
  const selection = { namespace, fieldSelector: `involvedObject.name=${name}` };
  try {
    const { items } = await client.list(events, selection, signal);
    return items
      .map((item) => eventOf(objectOf(item)))
      .filter((event) => event.uid === '' || uid === '' || event.uid === uid)
      .filter((event) => event.timeMs >= sinceMs && !without.includes(event.reason))
      .filter((event) => reason === undefined || event.reason === reason)
      .toSorted((a, b) => a.timeMs - b.timeMs)
      .at(-1);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function eventOf(event: Readonly<Record<string, unknown>>): ObjectEvent {
  const { lastTimestamp, eventTime, reason, message, involvedObject } = event;
  const time =
    textOf(lastTimestamp) || textOf(eventTime) || textOf(objectOf(event['metadata'])['creationTimestamp']);
  const timeMs = Date.parse(time);
  return {
    uid: textOf(objectOf(involvedObject)['uid']),
    reason: textOf(reason),
    message: textOf(message),
    // Whoever says no time is not left out for it.
    timeMs: Number.isNaN(timeMs) ? Number.POSITIVE_INFINITY : timeMs,
  };
}
