/**
 * `ambit uninstall`: show the plan, ask, release what is in the mesh, then remove it from the outside in.
 *
 * Invariant: no pod is left with its traffic redirected to a proxy that is gone. So pods are taken out of the mesh while
 * its agents still run, and nothing is removed while one is still captured. What has to be gone first is removed first:
 * admission, then the agent (which takes its plugin off the node), then the proxy, then the control plane.
 */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { configMaps, daemonSets, deployments, pods, secrets } from '@ambit/kube/resources/core';
import { gateways } from '@ambit/kube/resources/gateway';
import type { Context } from '../context.ts';
import { InstallError, NotInTimeError, UsageError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { removeOne } from '../install/apply.ts';
import { forbiddenActions } from '../install/cluster.ts';
import { componentOf, WORKLOADS } from '../install/components.ts';
import { LAB } from '../install/decide/checks.ts';
import { helmReleaseOf, isOfLab } from '../install/decide/ownership.ts';
import { removalOrder, type Removal } from '../install/decide/removal.ts';
import { enrolment, type Enrolled, labelsBack, releaseAll } from '../install/release.ts';
import { ownObjects } from '../install/leftovers.ts';
import { contentsOfOthers } from '../install/namespace-contents.ts';
import { titleOf } from '../install/manifest.ts';
import { INSTALL_POLL_MS, MAX_OBJECTS_NAMED, MAX_PODS_NAMED } from '../limits.ts';
import { table } from '../table.ts';
import { isWaypoint } from '../waypoint/gateway.ts';
import { confirm } from './install.ts';

const CA_SECRET = 'istio-ca-secret';
const ROOT_CONFIG_MAP = 'istio-ca-root-cert';

interface Plan {
  readonly removals: readonly Removal[];
  readonly kept: readonly { readonly title: string; readonly reason: string }[];
  readonly enrolled: readonly Enrolled[];
  /** Pods, also those whose label has gone before them. */
  readonly captured: readonly string[];
}

export async function uninstall(context: Context): Promise<ExitCode> {
  const { options, print } = context;
  const plan = await makePlan(context);
  if (options.output === 'table') print(planText(plan, options.release));
  else print(`${JSON.stringify(planJson(plan, options.release), undefined, 2)}\n`);
  const isEmpty = plan.removals.length === 0 && (plan.enrolled.length === 0 || !options.release);
  if (!isEmpty && !options.release && plan.captured.length > 0) throw stillEnrolled(plan);
  await mustBeAllowed(context, plan);
  if (options.dryRun) {
    say(context, 'Nothing was changed (--dry-run).');
    return EXIT.ok;
  }
  if (isEmpty) {
    if (plan.kept.length > 0) say(context, 'Nothing else is left to remove.');
    return EXIT.ok;
  }
  await confirm(context, `Uninstall (${plan.removals.length} objects to remove)?`);
  await carryOut(context, plan);
  say(context, 'Ambit is uninstalled.');
  return EXIT.ok;
}

function say({ options, print }: Context, line: string): void {
  if (options.output === 'table') print(`${line}\n`);
}

function stillEnrolled({ enrolled, captured }: Plan): InstallError {
  const subjects = enrolled.filter((one) => one.captured > 0).map(({ title }) => title);
  const names = subjects.length > 0 ? subjects : captured.slice(0, MAX_PODS_NAMED);
  return new InstallError(
    `nothing was changed: ${captured.length} pods are in the mesh (${names.join(', ')}) and would lose their network with it; --release takes them out first, without restarting them`,
  );
}

/** @throws {@link InstallError} before anything is removed. */
async function mustBeAllowed(context: Context, { removals, enrolled }: Plan): Promise<void> {
  const { client, options, signal } = context;
  const labelled = (options.release ? enrolled : []).map(({ resource, object }) => ({ resource, object }));
  const forbidden = [
    ...(await forbiddenActions(client, removals, ['delete'], signal)),
    ...(await forbiddenActions(client, labelled, ['patch'], signal)),
  ];
  if (forbidden.length > 0)
    throw new InstallError(`nothing was changed: you may not ${forbidden.join(', ')}`);
}

async function makePlan(context: Context): Promise<Plan> {
  const { client, options, signal } = context;
  // In other namespaces the label alone makes nothing ours.
  const isHere = ({ resource, object }: Part) =>
    !resource.namespaced || object.metadata.namespace === options.meshNamespace;
  const all = (await ownObjects(client, 'any of Ambit', signal))
    .filter(isHere)
    .map((part) => ({ ...part, title: titleOf(part) }));
  if (all.some(({ object }) => isOfLab(object))) throw new InstallError(`nothing was changed: ${LAB}`);
  const release = all.map(({ object }) => helmReleaseOf(object)).find((name) => name !== undefined);
  if (release !== undefined)
    throw new UsageError(
      `this mesh was installed by Helm: helm uninstall ${release} --namespace ${options.meshNamespace}`,
    );
  const more = [...(await runtimeObjects(context)), ...all].map((part) => ({
    ...part,
    title: titleOf(part),
  }));
  const distinct = [...new Map(more.map((part) => [part.title, part])).values()];
  const { removed, kept } = removalOrder(distinct, options);
  const { subjects, captured } = await enrolment(context);
  const purged = removed.find(({ resource }) => resource.kind === 'Namespace');
  const own = new Set(distinct.map(({ title }) => title));
  const kindsThatGo = new Set(removed.flatMap(({ object }) => definedKind(object)));
  const inside = (kind: string, name: string) =>
    own.has(`${kind} ${options.meshNamespace}/${name}`) || kindsThatGo.has(kind);
  const others = purged ? await contentsOfOthers(client, purged.object.metadata.name, inside, signal) : [];
  const isKept = (one: Removal) => one === purged && others.length > 0;
  return {
    removals: removed.filter((one) => !isKept(one)),
    kept: [
      ...kept,
      ...removed.filter(isKept).map(({ title }) => ({ title, reason: `not the mesh's: ${firstOf(others)}` })),
      ...(await waypointsKept(context)),
    ],
    enrolled: subjects,
    captured,
  };
}

/** Of a custom resource definition. */
function definedKind(object: KubeObject): readonly string[] {
  const { spec } = object as KubeObject & { readonly spec?: { readonly names?: { readonly kind?: string } } };
  return spec?.names?.kind === undefined ? [] : [spec.names.kind];
}

function firstOf(titles: readonly string[]): string {
  const more = titles.length - MAX_OBJECTS_NAMED;
  return `${titles.slice(0, MAX_OBJECTS_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Users' objects, with pods that nobody tells anything when istiod is gone. */
async function waypointsKept({ client, signal }: Context): Promise<Plan['kept']> {
  try {
    const { items } = await client.list(gateways, {}, signal);
    return items.filter(isWaypoint).map(({ metadata: { namespace = '', name } }) => ({
      title: `Gateway ${namespace}/${name}`,
      reason: `it is yours; its pods do no good without istiod: ambit waypoint delete -n ${namespace} ${name}`,
    }));
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return [];
    throw error;
  }
}

/** What the mesh has made while it ran; older versions did not label all of it. */
async function runtimeObjects({ client, options, signal }: Context): Promise<readonly Part[]> {
  const namespace = options.meshNamespace;
  const leases: Resource = {
    group: 'coordination.k8s.io',
    version: 'v1',
    kind: 'Lease',
    plural: 'leases',
    namespaced: true,
  };
  const roots = await client.list(
    configMaps,
    { labelSelector: 'istio.io/config=true,app.kubernetes.io/part-of=ambit' },
    signal,
  );
  const secret = await client.find(secrets, { namespace, name: CA_SECRET }, signal);
  const locks = await client.list(leases, { namespace }, signal);
  const parts: readonly (readonly [Resource, readonly KubeObject[]])[] = [
    [configMaps, roots.items.filter(({ metadata }) => metadata.name === ROOT_CONFIG_MAP)],
    [secrets, secret ? [secret] : []],
    [leases, locks.items.filter(({ metadata }) => metadata.name.startsWith('istio-'))],
  ];
  return parts.flatMap(([resource, objects]) =>
    objects.map((object) => ({
      resource,
      object,
      component: componentOf({ ...object, kind: resource.kind }),
    })),
  );
}

type Part = Omit<Removal, 'title'>;

async function carryOut(context: Context, plan: Plan): Promise<void> {
  const { clock, options } = context;
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  if (options.release && plan.enrolled.length + plan.captured.length > 0)
    await releaseAll(context, plan.enrolled, deadlineMs, (line) => say(context, line));
  for (const part of plan.removals) {
    await removeOne(context, part);
    say(context, `removed ${part.title}`);
    const workload = WORKLOADS.find(
      ({ kind, name }) => kind === part.resource.kind && name === part.object.metadata.name,
    );
    // The agent takes its plugin off the node as it goes, and needs its account for that.
    if (workload) await goneWithPods(context, part, deadlineMs);
    // What is in it goes as well, and until it has nothing can be installed again.
    if (part.resource.kind === 'Namespace') await gone(context, part, deadlineMs);
  }
  if (options.keepLabels) await labelsBack(context, plan.enrolled, (line) => say(context, line));
}

async function goneWithPods(context: Context, part: Removal, deadlineMs: number): Promise<void> {
  const { client, clock, options, signal } = context;
  const { name } = part.object.metadata;
  const resource: Resource = part.resource.kind === 'Deployment' ? deployments : daemonSets;
  const labelSelector = name === 'istio-cni-node' ? 'k8s-app=istio-cni-node' : `app=${name}`;
  for (;;) {
    const still = await client.find(resource, { namespace: options.meshNamespace, name }, signal);
    const { items } = await client.list(pods, { namespace: options.meshNamespace, labelSelector }, signal);
    if (!still && items.length === 0) return;
    if (clock.monotonicMs() >= deadlineMs)
      throw new NotInTimeError(
        `${items.length} pods of ${name} are still there after ${options.timeoutMs / 1_000} s (${items.map(({ metadata, spec }) => `${metadata.name} on ${spec?.nodeName ?? 'no node'}`).join(', ')}); what comes after was not touched. Run this again to go on`,
      );
    await clock.sleep(INSTALL_POLL_MS, signal);
  }
}

async function gone(
  { client, clock, options, signal }: Context,
  part: Removal,
  deadlineMs: number,
): Promise<void> {
  while (await client.find(part.resource, part.object.metadata, signal)) {
    if (clock.monotonicMs() >= deadlineMs)
      throw new NotInTimeError(
        `${part.title} is still there after ${options.timeoutMs / 1_000} s; its status says what it waits for`,
      );
    await clock.sleep(INSTALL_POLL_MS, signal);
  }
}

function planText({ removals, kept, enrolled }: Plan, releases: boolean): string {
  if (removals.length + kept.length === 0 && !(releases && enrolled.length > 0))
    return 'Nothing of Ambit is here.\n';
  const rows = [
    ...(releases ? enrolled : []).map((one) => ({
      action: 'release',
      title: one.title,
      detail: `${one.captured} pods captured; label ${one.label} goes`,
    })),
    ...removals.map(({ title }) => ({ action: 'remove', title, detail: '' })),
    ...kept.map(({ title, reason }) => ({ action: 'keep', title, detail: reason })),
  ];
  return `${table(
    [
      { title: 'PLAN', of: (row: (typeof rows)[number]) => row.action },
      { title: 'OBJECT', of: (row) => row.title },
      { title: 'DETAIL', of: (row) => row.detail },
    ],
    rows,
  )}\n`;
}

function planJson({ removals, kept, enrolled }: Plan, releases: boolean): object {
  return {
    release: (releases ? enrolled : []).map(({ title, captured }) => ({ subject: title, captured })),
    remove: removals.map(({ title }) => title),
    keep: kept,
  };
}
