/**
 * Taking everything out of the mesh before it goes: labels off, then waiting until no pod is captured any more.
 *
 * Labels are the user's. With `--keep-labels` they are put back once the agents are gone, so that the next mesh, be it
 * Ambit or Istio, finds them; what is to be put back is kept on the object itself, so that an interruption loses nothing.
 */
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { namespaces, type Pod, pods } from '@ambit/kube/resources/core';
import type { Context } from '../context.ts';
import { AMBIENT, isCaptured, isLive, MODE_LABEL, nameOf } from '../enrolment.ts';
import { NotInTimeError } from '../errors.ts';
import { INSTALL_POLL_MS, MAX_PODS_NAMED } from '../limits.ts';

/** A namespace or a pod that has been taken into the mesh, or was until a release that was broken off. */
export interface Enrolled {
  readonly resource: Resource;
  readonly object: KubeObject;
  readonly title: string;
  readonly label: string;
  /** How many pods of it are captured now. */
  readonly captured: number;
}

/** Says that the label was there before a release. */
const RELEASED = 'ambit.mesh/released';

/** What belongs to the mesh, and every pod that is captured, whether or not anything still says that it belongs. */
export interface Enrolment {
  readonly subjects: readonly Enrolled[];
  /** `namespace/name` of each. */
  readonly captured: readonly string[];
}

export async function enrolment({ client, signal }: Context): Promise<Enrolment> {
  const [spaces, all] = await Promise.all([
    client.list(namespaces, {}, signal),
    client.list(pods, {}, signal),
  ]);
  const captured = all.items.filter((pod) => isLive(pod) && isCaptured(pod));
  const subjects = [
    ...spaces.items.filter(belongs).map((object) => ({
      resource: namespaces as Resource,
      object: object as KubeObject,
      title: `Namespace ${object.metadata.name}`,
      captured: captured.filter(({ metadata }) => metadata.namespace === object.metadata.name).length,
    })),
    ...all.items
      .filter((pod) => belongs(pod) && isLive(pod))
      .map((pod) => ({
        resource: pods as Resource,
        object: pod as KubeObject,
        title: `Pod ${nameOf(pod)}`,
        captured: Number(isCaptured(pod)),
      })),
  ];
  return {
    subjects: subjects.map((one) => ({ ...one, label: `${MODE_LABEL}=${AMBIENT}` })),
    captured: captured.map(nameOf),
  };
}

function belongs({ metadata }: KubeObject): boolean {
  return metadata.labels?.[MODE_LABEL] === AMBIENT || metadata.annotations?.[RELEASED] !== undefined;
}

/** @throws {@link NotInTimeError} naming the pods that are still captured when time is up. */
export async function releaseAll(
  context: Context,
  subjects: readonly Enrolled[],
  deadlineMs: number,
  progress: (line: string) => void,
): Promise<void> {
  const { client, clock, options, signal } = context;
  const annotations = options.keepLabels ? { [RELEASED]: 'true' } : {};
  const patch = {
    type: 'merge',
    body: { metadata: { labels: { [MODE_LABEL]: null }, annotations } },
  } as const;
  for (const { resource, object, title } of subjects) {
    await client.patch(resource, object.metadata, patch, { fieldManager: 'ambit' }, signal);
    progress(`released ${title}`);
  }
  for (;;) {
    const { items } = await client.list(pods, {}, signal);
    const captured = items.filter((pod) => isLive(pod) && isCaptured(pod));
    if (captured.length === 0) return;
    if (clock.monotonicMs() >= deadlineMs) throw stillCaptured(captured, options.timeoutMs);
    await clock.sleep(INSTALL_POLL_MS, signal);
  }
}

function stillCaptured(captured: readonly Pod[], timeoutMs: number): NotInTimeError {
  const names = captured
    .slice(0, MAX_PODS_NAMED)
    .map((pod) => `${nameOf(pod)} on ${pod.spec?.nodeName ?? 'no node'}`);
  const more = captured.length > names.length ? ` and ${captured.length - names.length} more` : '';
  return new NotInTimeError(
    `nothing was removed: still captured after ${timeoutMs / 1_000} s: ${names.join(', ')}${more}; the log of istio-cni-node on that node says why`,
  );
}

/** Puts back the labels that a release took off. */
export async function labelsBack(
  context: Context,
  subjects: readonly Enrolled[],
  progress: (line: string) => void,
): Promise<void> {
  const { client, signal } = context;
  const body = { metadata: { labels: { [MODE_LABEL]: AMBIENT }, annotations: { [RELEASED]: null } } };
  for (const { resource, object, title } of subjects) {
    // A pod may have ended meanwhile.
    if (!(await client.find(resource, object.metadata, signal))) continue;
    await client.patch(resource, object.metadata, { type: 'merge', body }, { fieldManager: 'ambit' }, signal);
    progress(`put back ${MODE_LABEL}=${AMBIENT} on ${title}`);
  }
}
