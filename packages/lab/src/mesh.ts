/** Puts the mesh into a lab and waits until it is ready, as `ambit install` does on a cluster. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '@ambit/core/clock';
import { MeshError } from '@ambit/core/errors';
import type { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import { customResourceDefinitions } from '@ambit/kube/resources/authentication';
import { type Pod, pods } from '@ambit/kube/resources/core';
import { applyAll, parseManifests } from './apply.ts';
import { gatewayApiDefinitions } from './gateway-api.ts';
import type { Lab } from './lab.ts';
import { meshManifests, type MeshOptions, PLUGIN_IMAGE_FOLDER, SYSTEM_NAMESPACE } from './manifests.ts';
import { run } from './network/command.ts';
import { isReady } from './workloads/template.ts';

const TOP = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
/** What the lab takes from the chart as it is: who the parts are, what they may do, how they are reached and asked. */
const CHART_KINDS: ReadonlySet<string> = new Set([
  'Namespace',
  'ServiceAccount',
  'ClusterRole',
  'ClusterRoleBinding',
  'Role',
  'RoleBinding',
  'Service',
  'ValidatingWebhookConfiguration',
]);
const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 100;
const SHOWN_LOG_LINES = 5;

/** A part of the mesh did not become ready in time. */
export class MeshNotReadyError extends MeshError {
  readonly code = 'MESH_NOT_READY';
  readonly side = 'internal';
}

export interface InstallOptions {
  readonly env?: MeshOptions['env'];
  readonly clock?: Clock;
}

/** @throws {@link MeshNotReadyError} naming each pod that is not ready, and what it said last. */
export async function installMesh(
  lab: Lab,
  signal: AbortSignal,
  options: InstallOptions = {},
): Promise<void> {
  const { clock = systemClock, env } = options;
  const crds = `${TOP}/deploy/crds`;
  for (const name of readdirSync(crds).filter((file) => file.endsWith('.yaml')))
    await applyAll(lab.client, parseManifests(readFileSync(`${crds}/${name}`, 'utf8')), signal);
  await applyAll(lab.client, gatewayApiDefinitions(), signal);
  await established(lab.client, clock, signal);
  const build = `${TOP}/packages/cni/src/build/main.ts`;
  for (const { name } of lab.nodes)
    await run([process.execPath, build, '--out', lab.hostPathOf(name, PLUGIN_IMAGE_FOLDER)]);
  const chart = parseManifests(readFileSync(`${TOP}/deploy/manifests/ambit.yaml`, 'utf8'));
  await applyAll(
    lab.client,
    chart.filter(({ kind }) => CHART_KINDS.has(kind ?? '')).map(withoutConditions),
    signal,
  );
  const objects = meshManifests({ top: TOP, node: process.execPath, ...(env && { env }) });
  await applyAll(lab.client, objects, signal);
  // One istiod, and on each node a ztunnel and an agent.
  await ready(lab, 1 + 2 * lab.nodes.length, clock, signal);
}

/** The embedded API does not ask a webhook that has conditions; without them it asks whenever it might matter. */
function withoutConditions(object: KubeObject): KubeObject {
  const { webhooks } = object as KubeObject & { readonly webhooks?: readonly object[] };
  if (!webhooks) return object;
  const asked = webhooks.map((webhook) => ({ ...webhook, matchConditions: [] }));
  return { ...object, ...{ webhooks: asked } };
}

async function established(client: KubeClient, clock: Clock, signal: AbortSignal): Promise<void> {
  const deadlineMs = clock.monotonicMs() + READY_TIMEOUT_MS;
  for (;;) {
    const { items } = await client.list(customResourceDefinitions, {}, signal);
    const waiting = items.filter(
      ({ status }) => !status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True'),
    );
    if (waiting.length === 0) return;
    if (clock.monotonicMs() > deadlineMs)
      throw new MeshNotReadyError(`not served: ${waiting.map(({ metadata }) => metadata.name).join(', ')}`);
    await clock.sleep(POLL_MS, signal);
  }
}

async function ready(lab: Lab, count: number, clock: Clock, signal: AbortSignal): Promise<void> {
  const deadlineMs = clock.monotonicMs() + READY_TIMEOUT_MS;
  for (;;) {
    const { items } = await lab.client.list(pods, { namespace: SYSTEM_NAMESPACE }, signal);
    if (items.length >= count && items.every(isReady)) return;
    if (clock.monotonicMs() > deadlineMs) {
      const problems = items.filter((pod) => !isReady(pod)).map((pod) => describe(lab, pod));
      throw new MeshNotReadyError(
        `${items.length} of ${count} pods exist; not ready:\n${problems.join('\n')}`,
      );
    }
    await clock.sleep(POLL_MS, signal);
  }
}

function describe(lab: Lab, { metadata: { name, namespace = '' }, status }: Pod): string {
  const { containerStatuses = [] } = (status ?? {}) as {
    readonly containerStatuses?: readonly {
      readonly state?: { readonly waiting?: { readonly message?: string } };
    }[];
  };
  const waiting = containerStatuses.flatMap(({ state }) => state?.waiting?.message ?? []);
  const lines = lab.logsOf({ namespace, name }).trim().split('\n').slice(-SHOWN_LOG_LINES);
  return [`  ${name} (${status?.phase ?? 'unknown'})`, ...waiting, ...lines].join('\n    ');
}
