/** Waiting until workloads run, telling how far they are, and saying what holds up those that do not. */
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { daemonSets, deployments, type Pod, pods } from '@ambit/kube/resources/core';
import { formatLabelSelector } from '@ambit/kube/label-selector';
import type { Context } from '../context.ts';
import { listOf, objectOf, textOf } from '../json-value.ts';
import { INSTALL_POLL_MS, MAX_PODS_NAMED, MAX_REASON_CHARS } from '../limits.ts';
import { isReady } from '../pod-ready.ts';
import { printable } from '../table.ts';
import type { Workload } from './components.ts';
import { rolloutOf } from './decide/rollout.ts';

export interface Waited {
  readonly ready: boolean;
  /** One sentence for each workload that is not ready. */
  readonly problems: readonly string[];
}

/** @param progress - Called with a line whenever something moved. */
export async function waitForWorkloads(
  context: Context,
  workloads: readonly Workload[],
  deadlineMs: number,
  progress: (line: string) => void,
): Promise<Waited> {
  const { clock, signal } = context;
  const told = new Map<string, string>();
  for (;;) {
    const states = await Promise.all(workloads.map((workload) => look(context, workload)));
    for (const { workload, state } of states) {
      if (told.get(workload.name) === state) continue;
      told.set(workload.name, state);
      progress(`${workload.name}: ${state}`);
    }
    const behind = states.filter(({ ready }) => !ready);
    if (behind.length === 0) return { ready: true, problems: [] };
    if (clock.monotonicMs() >= deadlineMs) {
      const problems = await Promise.all(
        behind.map(async ({ workload, state, live }) => {
          const because = await reasonsOf(context, live);
          return `${workload.kind} ${workload.name}: ${state}${because === '' ? '' : `; ${because}`}`;
        }),
      );
      return { ready: false, problems };
    }
    await clock.sleep(INSTALL_POLL_MS, signal);
  }
}

async function look({ client, options, signal }: Context, workload: Workload) {
  const at = { namespace: options.meshNamespace, name: workload.name };
  const live = await client.find(resourceOf(workload), at, signal);
  return { workload, live, ...rolloutOf(workload.kind, live) };
}

function resourceOf({ kind }: Workload): Resource {
  return kind === 'Deployment' ? deployments : daemonSets;
}

/** Why its pods are not ready: what their containers wait for, and the last event of each. */
async function reasonsOf(context: Context, live: KubeObject | undefined): Promise<string> {
  if (!live) return '';
  const { client, options, signal } = context;
  const { selector } = objectOf((live as KubeObject & { readonly spec?: unknown }).spec);
  const labelSelector = formatLabelSelector(objectOf(selector));
  const { items } = await client.list(pods, { namespace: options.meshNamespace, labelSelector }, signal);
  const waiting = items.filter((pod) => !isReady(pod));
  if (waiting.length === 0)
    return (await lastEvent(context, options.meshNamespace, live.metadata.name)) ?? 'it has no pods yet';
  return await podReasons(context, options.meshNamespace, waiting);
}

/** Of a few pods: where each is, what its containers wait for, and its last event; and how many there are beyond. */
export async function podReasons(
  context: Context,
  namespace: string,
  waiting: readonly Pod[],
): Promise<string> {
  const named = await Promise.all(
    waiting.slice(0, MAX_PODS_NAMED).map(async (pod) => {
      const { name } = pod.metadata;
      const event = await lastEvent(context, namespace, name);
      const node = pod.spec?.nodeName === undefined ? 'on no node' : `on ${pod.spec.nodeName}`;
      return `pod ${name} ${node} ${podReason(pod)}${event === undefined ? '' : ` (last event: ${event})`}`;
    }),
  );
  const more = waiting.length - named.length;
  return [...named, ...(more > 0 ? [`${more} pods more`] : [])].join('; ');
}

/** What a pod that is not ready waits for. */
export function podReason({ status }: Pod): string {
  const states = listOf(objectOf(status)['containerStatuses']).map((one) => objectOf(objectOf(one)['state']));
  const waiting = states
    .map((state) => objectOf(state['waiting']))
    .find(({ reason }) => reason !== undefined);
  if (waiting)
    return `waits: ${textOf(waiting['reason'])}${waiting['message'] ? `, ${printable(textOf(waiting['message']), MAX_REASON_CHARS)}` : ''}`;
  const condition = status?.conditions?.find(({ status: is, message }) => is === 'False' && Boolean(message));
  return condition ? `is not ready: ${condition.message}` : `is ${status?.phase ?? 'not started'}`;
}

/** An event is a hint: that it cannot be read spoils nothing. */
export async function lastEvent(
  { client, signal }: Pick<Context, 'client' | 'signal'>,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const events: Resource = { group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };
  const selection = { namespace, fieldSelector: `involvedObject.name=${name}` };
  try {
    const { items } = await client.list(events, selection, signal);
    const last = items
      .map(objectOf)
      .sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1))
      .at(-1);
    return last && `${textOf(last['reason'])}: ${printable(textOf(last['message']), MAX_REASON_CHARS)}`;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function timeOf(event: Readonly<Record<string, unknown>>): string {
  const { lastTimestamp, eventTime } = event;
  return (
    textOf(lastTimestamp) || textOf(eventTime) || textOf(objectOf(event['metadata'])['creationTimestamp'])
  );
}
