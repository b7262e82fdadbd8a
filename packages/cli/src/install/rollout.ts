/** Waiting until workloads run, telling how far they are, and saying what holds up those that do not. */
import { statusOf } from '@ambit/kube/errors';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { daemonSets, deployments, type Pod, pods } from '@ambit/kube/resources/core';
import { formatLabelSelector } from '@ambit/kube/label-selector';
import type { Context } from '../context.ts';
import { lastEvent } from '../events.ts';
import { objectOf } from '../json-value.ts';
import { INSTALL_POLL_MS, MAX_PODS_NAMED } from '../limits.ts';
import { isReady } from '../pod-ready.ts';
import { type ComponentName, type Workload, WORKLOADS } from './components.ts';
import { endsOf, podReason, tellingEvents } from './decide/pod-reason.ts';
import { noPodReason, rolloutOf } from './decide/rollout.ts';

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
  if (waiting.length === 0) return (await lastEvent(context, live.metadata)) ?? 'it has no pods yet';
  return await podReasons(context, waiting);
}

/** Of a few pods: where each is, what its containers wait for, how they ended, its last event; and how many there are beyond. */
export async function podReasons(context: Context, waiting: readonly Pod[]): Promise<string> {
  const named = await Promise.all(
    waiting.slice(0, MAX_PODS_NAMED).map(async (pod) => {
      const { name } = pod.metadata;
      const event = await lastEvent(context, pod.metadata, tellingEvents(pod));
      const node = pod.spec?.nodeName === undefined ? 'on no node' : `on ${pod.spec.nodeName}`;
      const reason = `pod ${name} ${node} ${podReason(pod)}${event === undefined ? '' : ` (last event: ${event})`}`;
      return [reason, ...endsOf(pod, context.clock.now())].join('; ');
    }),
  );
  const more = waiting.length - named.length;
  return [...named, ...(more > 0 ? [`${more} pods more`] : [])].join('; ');
}

/** Begins with `: `, or nothing: what keeps a component from having pods, as far as the user may see. */
export async function whyNoPod(context: Context, component: ComponentName): Promise<string> {
  const workload = WORKLOADS.find((one) => one.component === component);
  if (!workload) return '';
  try {
    const { live } = await look(context, workload);
    const decided = noPodReason(workload.kind, workload.name, live);
    if (decided !== undefined) return `: ${decided}`;
    const about = live?.metadata ?? { namespace: context.options.meshNamespace, name: workload.name };
    const event = await lastEvent(context, about);
    return event === undefined ? '' : ` (last event of its ${workload.kind}: ${event})`;
  } catch (error) {
    if (statusOf(error) === 403) return '';
    throw error;
  }
}
