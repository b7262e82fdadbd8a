/** What an installer asks the cluster: what is there, what may be done, and who else was here. Reads only. */
import { mapLimited } from '../map-limited.ts';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { daemonSets, deployments, nodes } from '@ambit/kube/resources/core';
import { booleanOf, objectOf, textOf } from '../json-value.ts';
import { MAX_REQUESTS_AT_ONCE } from '../limits.ts';
import { type ComponentName, componentOf, WORKLOADS } from './components.ts';
import type { ForeignObject, InstalledComponent } from './decide/checks.ts';
import { helmReleaseOf, isInstalledByCommand, isOurs, VERSION } from './decide/ownership.ts';
import { reasonToKeep } from './decide/plan.ts';
import { customResourceDefinitions } from './kinds.ts';
import { type Part, titleOf } from './manifest.ts';

const GATEWAYS = 'gateways.gateway.networking.k8s.io';
/** Istio's workloads by the labels of its charts, wherever they run. */
const ISTIO: readonly { readonly resource: Resource; readonly labelSelector: string }[] = [
  { resource: deployments, labelSelector: 'app=istiod' },
  { resource: daemonSets, labelSelector: 'k8s-app=istio-cni-node' },
  { resource: daemonSets, labelSelector: 'app=ztunnel' },
];

export async function kubernetesVersion(
  client: KubeClient,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await client.request({ method: 'GET', path: '/version' }, signal);
  return textOf(objectOf(answer)['gitVersion']) || undefined;
}

/** What is there of the parts, by title. */
export async function liveObjects(
  client: KubeClient,
  parts: readonly Part[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, KubeObject>> {
  const found = await mapLimited(parts, MAX_REQUESTS_AT_ONCE, async (part) => {
    const live = await client.find(part.resource, part.object.metadata, signal);
    return live ? [[titleOf(part), live] as const] : [];
  });
  return new Map(found.flat());
}

/** Objects of others that stand where ours would, or that do the work of ours elsewhere in the cluster. */
export async function foreignObjects(
  client: KubeClient,
  parts: readonly Part[],
  live: ReadonlyMap<string, KubeObject>,
  selected: readonly ComponentName[],
  signal: AbortSignal,
): Promise<readonly ForeignObject[]> {
  const inPlace = parts.flatMap((part): readonly ForeignObject[] => {
    const there = live.get(titleOf(part));
    if (!there || isInstalledByCommand(there) || reasonToKeep(part, there) !== undefined) return [];
    // Applied by hand from the same manifests: ours, and taken over.
    if (isOurs(there) && helmReleaseOf(there) === undefined) return [];
    return [foreignOf(titleOf(part), part.component, there)];
  });
  const elsewhere = await mapLimited(ISTIO, MAX_REQUESTS_AT_ONCE, async ({ resource, labelSelector }) => {
    const { items } = await listAllowed(client, resource, labelSelector, signal);
    return items
      .filter((object) => !isOurs(object) && selected.includes(componentOf(object)))
      .map((object) => foreignOf(titleOf({ resource, object }), componentOf(object), object));
  });
  const all = [...inPlace, ...elsewhere.flat()];
  // The workload tells enough; its ServiceAccount and roles would only make the sentence longer.
  const workloads = all.filter(({ title }) => /^(Deployment|DaemonSet) /.test(title));
  return distinct(workloads.length > 0 ? workloads : all);
}

function foreignOf(title: string, component: ComponentName, object: KubeObject): ForeignObject {
  return { title, component, helmRelease: helmReleaseOf(object), ambit: isOurs(object) };
}

function distinct(all: readonly ForeignObject[]): readonly ForeignObject[] {
  return [...new Map(all.map((one) => [one.title, one])).values()];
}

async function listAllowed(
  client: KubeClient,
  resource: Resource,
  labelSelector: string,
  signal: AbortSignal,
) {
  try {
    return await client.list(resource, { labelSelector }, signal);
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return { items: [] };
    throw error;
  }
}

/** The versions that run, by the label that every installer puts on the workloads. */
export async function installedComponents(
  client: KubeClient,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly InstalledComponent[]> {
  const found = await mapLimited(WORKLOADS, MAX_REQUESTS_AT_ONCE, async ({ component, kind, name }) => {
    const resource: Resource = kind === 'Deployment' ? deployments : daemonSets;
    const live = await client.find(resource, { namespace, name }, signal);
    return live && isOurs(live) ? [{ component, version: live.metadata.labels?.[VERSION] ?? 'unknown' }] : [];
  });
  return found.flat();
}

/** What the user may not do of all that installing takes; empty if everything is allowed. */
export async function forbiddenActions(
  client: KubeClient,
  parts: readonly Pick<Part, 'resource' | 'object'>[],
  verbs: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const kinds = new Map(
    parts.map(({ resource, object }) => {
      const namespace = resource.namespaced ? (object.metadata.namespace ?? '') : '';
      return [`${resource.plural}.${resource.group} ${namespace}`, { resource, namespace }] as const;
    }),
  );
  const questions = [...kinds.values()].flatMap((one) => verbs.map((verb) => ({ ...one, verb })));
  const answers = await mapLimited(questions, MAX_REQUESTS_AT_ONCE, async (question) =>
    (await isAllowed(client, question, signal)) ? [] : [phraseOf(question)],
  );
  return answers.flat();
}

interface Question {
  readonly resource: Resource;
  readonly namespace: string;
  readonly verb: string;
}

async function isAllowed(client: KubeClient, question: Question, signal: AbortSignal): Promise<boolean> {
  const { resource, namespace, verb } = question;
  const attributes = { group: resource.group, resource: resource.plural, verb, namespace };
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: attributes },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const answer = await client.request({ method: 'POST', path, body: JSON.stringify(body) }, signal);
  return booleanOf(objectOf(objectOf(answer)['status'])['allowed']);
}

function phraseOf({ resource, namespace, verb }: Question): string {
  const group = resource.group === '' ? '' : `.${resource.group}`;
  return `${verb} ${resource.plural}${group}${namespace === '' ? '' : ` in ${namespace}`}`;
}

export async function hasGatewayApi(client: KubeClient, signal: AbortSignal): Promise<boolean> {
  return (await client.find(customResourceDefinitions, { name: GATEWAYS }, signal)) !== undefined;
}

/** `undefined`: the user may not see nodes. */
export async function linuxNodes(client: KubeClient, signal: AbortSignal): Promise<number | undefined> {
  try {
    const { items } = await client.list(nodes, { labelSelector: 'kubernetes.io/os=linux' }, signal);
    return items.length;
  } catch (error) {
    if (statusOf(error) === 403) return undefined;
    throw error;
  }
}
