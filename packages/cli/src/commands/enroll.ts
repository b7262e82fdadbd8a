/**
 * `ambit enroll` and `ambit unenroll`: the label that decides, and then the wait until every pod followed.
 *
 * The label is all that is written. The node agents do the rest, so this ends when their annotations say so; a pod that
 * does not follow is named, with the node whose agent to look at. A label that no agent would follow is not written.
 */
import { EVENT_REPEAT_MS } from '@ambit/kube/limits';
import { type Namespace, namespaces, type Pod, pods } from '@ambit/kube/resources/core';
import type { Context } from '../context.ts';
import {
  AMBIENT,
  exemption,
  isCaptured,
  isEnrolled,
  isRunning,
  MODE_LABEL,
  NONE,
  nameOf,
} from '../enrolment.ts';
import { InstallError, NotFoundError, UsageError } from '../errors.ts';
import { findLast } from '../events.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { ENROL_POLL_MS, MAX_PODS_NAMED, RELEASED_OPEN_MS } from '../limits.ts';
import { excludedNamespaces, hasMesh, noMesh } from '../mesh-presence.ts';
import { similarOf } from '../similar-names.ts';

type Direction = 'enroll' | 'unenroll';

interface Subject {
  readonly namespace: Namespace;
  /** `undefined`: the whole namespace. */
  readonly pod: Pod | undefined;
}

/** UIDs of pods that were captured before anything was changed. */
type Captured = ReadonlySet<string>;

interface Progress {
  readonly followed: readonly Pod[];
  readonly behind: readonly Pod[];
  /** Stay in the mesh when their namespace leaves it, by a label of their own. */
  readonly staying: readonly Pod[];
}

export async function enroll(context: Context, operands: readonly string[]): Promise<ExitCode> {
  return await change(context, 'enroll', operands[0] ?? '');
}

export async function unenroll(context: Context, operands: readonly string[]): Promise<ExitCode> {
  return await change(context, 'unenroll', operands[0] ?? '');
}

async function change(context: Context, direction: Direction, operand: string): Promise<ExitCode> {
  const { client, options, signal } = context;
  const subject = await find(context, operand);
  if (direction === 'enroll') await mustTakeEffect(context, subject);
  const captured = direction === 'enroll' ? new Set<string>() : await capturedIn(context, subject.namespace);
  const labels = { [MODE_LABEL]: labelFor(direction, subject) };
  const patch = { type: 'merge', body: { metadata: { labels } } } as const;
  const manager = { fieldManager: 'ambit' };
  if (subject.pod) await client.patch(pods, subject.pod.metadata, patch, manager, signal);
  else await client.patch(namespaces, subject.namespace.metadata, patch, manager, signal);
  const progress = options.wait
    ? await follow(context, direction, subject, captured)
    : await look(context, direction, subject, captured);
  await report(context, direction, operand, progress);
  return options.wait && progress.behind.length > 0 ? EXIT.timeout : EXIT.ok;
}

/** @throws {@link InstallError} if nothing would come of the label; with `--no-wait`, a mesh may still come. */
async function mustTakeEffect(context: Context, { namespace }: Subject): Promise<void> {
  const { options, warn } = context;
  const { name } = namespace.metadata;
  const refuse = (why: string) => new InstallError(`nothing was changed: ${why}`);
  if (name === options.meshNamespace)
    throw refuse(`${name} is the mesh's own namespace, whose pods stay outside it`);
  if ((await excludedNamespaces(context)).has(name))
    throw refuse(
      `namespace ${name} is excluded from the mesh; "ambit install --set cni.excludeNamespaces=…" names those that are`,
    );
  if ((await hasMesh(context)) !== false) return;
  if (options.wait) throw refuse(noMesh(options.meshNamespace));
  warn(`${noMesh(options.meshNamespace)}; until then the label alone does nothing`);
}

/**
 * A pod of an enrolled namespace needs a word of its own to stay out, and none to be in: then its namespace's counts, and it
 * goes the namespace's way later. A pod that was given the word keeps it.
 */
function labelFor(direction: Direction, { namespace, pod }: Subject): string | null {
  const follows = pod !== undefined && isEnrolled(namespace);
  if (direction === 'unenroll') return follows ? NONE : null;
  return follows && pod.metadata.labels?.[MODE_LABEL] !== AMBIENT ? null : AMBIENT;
}

/** @throws {@link UsageError} */
export function parseSubject(operand: string) {
  const [name = '', podName, ...rest] = operand.split('/');
  if (name === '' || podName === '' || rest.length > 0)
    throw new UsageError(`"${operand}" is neither NAMESPACE nor NAMESPACE/POD`);
  return { name, podName };
}

async function find({ client, signal }: Context, operand: string): Promise<Subject> {
  const { name, podName } = parseSubject(operand);
  const namespace = await client.find(namespaces, { name }, signal);
  if (!namespace) {
    const hint = await similarOf(name, client, namespaces, undefined, signal);
    throw new NotFoundError(`there is no namespace ${name}${hint}`);
  }
  if (podName === undefined) return { namespace, pod: undefined };
  const pod = await client.find(pods, { namespace: name, name: podName }, signal);
  if (!pod) {
    const hint = await similarOf(podName, client, pods, name, signal);
    throw new NotFoundError(`there is no pod ${podName} in namespace ${name}${hint}`);
  }
  return { namespace, pod };
}

async function capturedIn({ client, signal }: Context, { metadata }: Namespace): Promise<Captured> {
  const { items } = await client.list(pods, { namespace: metadata.name }, signal);
  return new Set(items.filter(isCaptured).map(uidOf));
}

function uidOf({ metadata }: Pod): string {
  return metadata.uid ?? metadata.name;
}

async function follow(
  context: Context,
  direction: Direction,
  subject: Subject,
  captured: Captured,
): Promise<Progress> {
  const { clock, options, signal } = context;
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  for (;;) {
    const progress = await look(context, direction, subject, captured);
    if (progress.behind.length === 0 || clock.monotonicMs() >= deadlineMs) return progress;
    await clock.sleep(ENROL_POLL_MS, signal);
  }
}

/** Which of the pods concerned are where they shall be. */
async function look(
  { client, signal }: Context,
  direction: Direction,
  subject: Subject,
  captured: Captured,
): Promise<Progress> {
  const { name } = subject.namespace.metadata;
  const [namespace, { items }] = await Promise.all([
    client.find(namespaces, { name }, signal),
    client.list(pods, { namespace: name }, signal),
  ]);
  const running = items
    .filter((pod) => subject.pod === undefined || pod.metadata.name === subject.pod.metadata.name)
    .filter(isRunning);
  const isMeant = (pod: Pod) => exemption(pod, namespace) === undefined;
  // Nobody releases what was outside all the time.
  const concerned = running.filter((pod) =>
    direction === 'enroll' ? isMeant(pod) : !isMeant(pod) && (isCaptured(pod) || captured.has(uidOf(pod))),
  );
  const done = (pod: Pod) => isCaptured(pod) === (direction === 'enroll');
  return {
    followed: concerned.filter(done),
    behind: concerned.filter((pod) => !done(pod)),
    staying: direction === 'enroll' ? [] : running.filter(isMeant),
  };
}

function releaseOf(released: number, total: number, staying: number): string {
  if (total === 0) return staying > 0 ? 'no running pod is released' : 'no running pod was captured';
  const count = `${released} of ${total} captured pods released`;
  return released === 0
    ? count
    : `${count}; connections that are open may end by themselves for up to ${RELEASED_OPEN_MS / 1_000} s, then they are cut`;
}

async function report(
  context: Context,
  direction: Direction,
  subject: string,
  { followed, behind, staying }: Progress,
): Promise<void> {
  const { options, print, warn } = context;
  const total = followed.length + behind.length;
  const enrolled = direction === 'enroll';
  if (options.output === 'json') {
    const rows = [...followed, ...behind].map((pod) => ({
      pod: nameOf(pod),
      node: pod.spec?.nodeName ?? '',
      captured: isCaptured(pod),
    }));
    print(`${JSON.stringify({ subject, enrolled, pods: rows }, undefined, 2)}\n`);
  } else {
    print(
      enrolled
        ? `${subject} is enrolled: ${followed.length} of ${total} running pods captured\n`
        : `${subject} is un-enrolled: ${releaseOf(followed.length, total, staying.length)}\n`,
    );
  }
  if (staying.length > 0)
    warn(
      `in the mesh still, by a label of their own: ${staying.map(nameOf).join(', ')}; "ambit unenroll NAMESPACE/POD" takes one out`,
    );
  if (!options.wait || behind.length === 0) return;
  const names = behind.map((pod) => `${nameOf(pod)} on ${pod.spec?.nodeName ?? 'no node'}`).join(', ');
  const state = enrolled ? 'not captured' : 'still captured';
  const asked = behind.slice(0, MAX_PODS_NAMED);
  const found = await Promise.all(asked.map((pod) => failureOf(context, pod, direction)));
  const causes = found.filter((cause) => cause !== undefined);
  const advice =
    '; "ambit status" says whether the node agents run, the log of istio-cni-node on that node why not';
  // The causes of some are not those of the others, nor of whom nobody asked about.
  const isToldOfAll = causes.length === behind.length;
  warn(`${state} after ${options.timeoutMs / 1_000} s: ${names}${isToldOfAll ? '' : advice}`);
  for (const cause of causes) warn(cause);
}

/** What the node agent noted on the pod, which it notes again only after a while: no older than that. */
async function failureOf(context: Context, pod: Pod, direction: Direction): Promise<string | undefined> {
  const reason = direction === 'enroll' ? 'EnrolmentFailed' : 'ReleaseFailed';
  const sinceMs = context.clock.now() - context.options.timeoutMs - EVENT_REPEAT_MS;
  const event = await findLast(context, pod.metadata, { reason, sinceMs });
  return event && `${nameOf(pod)}: ${event.reason}: ${event.message}`;
}
