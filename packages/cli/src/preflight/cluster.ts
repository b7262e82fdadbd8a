/** What the API tells of a cluster for a preflight. Whatever the user may not read is left out, not an error. */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeClient } from '@ambit/kube/client';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { mutatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import {
  configMaps,
  daemonSets,
  deployments,
  namespaces,
  type Node,
  nodes,
  services,
} from '@ambit/kube/resources/core';
import type { Context } from '../context.ts';
import { isEnrolled } from '../enrolment.ts';
import { hasGatewayApi, installedComponents, kubernetesVersion } from '../install/cluster.ts';
import { isOurs } from '../install/decide/ownership.ts';
import { effective } from '../install/decide/values.ts';
import { recordedValues } from '../install/installation.ts';
import { objectOf, textOf } from '../json-value.ts';
import type { ClusterFacts, DefaultTag, NodeView } from './decide/facts.ts';
import { policyViewOf } from './decide/network-policy.ts';
import { platformOf } from './decide/platform.ts';

export const networkPolicies: Resource = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  namespaced: true,
};

/** Workloads by which other meshes are known. */
const MESHES: readonly {
  readonly name: string;
  readonly resource: Resource;
  readonly labelSelector: string;
}[] = [
  { name: 'Istio', resource: deployments, labelSelector: 'app=istiod' },
  { name: 'Linkerd', resource: deployments, labelSelector: 'linkerd.io/control-plane-component=destination' },
  { name: 'Kuma', resource: deployments, labelSelector: 'app=kuma-control-plane' },
  { name: 'Consul', resource: deployments, labelSelector: 'app=consul,component=connect-injector' },
  { name: 'Kmesh', resource: daemonSets, labelSelector: 'app=kmesh' },
];

export async function clusterFacts(context: Context): Promise<ClusterFacts> {
  const { client, options, signal } = context;
  const [
    version,
    clockAheadMs,
    gatewayApi,
    admissionPolicies,
    openshift,
    cilium,
    proxies,
    policies,
    spaces,
    installed,
    values,
    tags,
  ] = await Promise.all([
    kubernetesVersion(client, signal),
    clockAhead(context),
    allowed(() => hasGatewayApi(client, signal), true),
    allowed(() => servesAdmissionPolicies(client, signal), true),
    allowed(
      async () =>
        (await client.request({ method: 'GET', path: '/apis/config.openshift.io' }, signal)) !== undefined,
      false,
    ),
    allowed(
      () => client.find(configMaps, { namespace: 'kube-system', name: 'cilium-config' }, signal),
      undefined,
    ),
    allowed(
      async () =>
        (
          await client.list(
            daemonSets,
            { namespace: 'kube-system', labelSelector: 'k8s-app=kube-proxy' },
            signal,
          )
        ).items,
      [],
    ),
    allowed(async () => (await client.list(networkPolicies, {}, signal)).items, []),
    allowed(async () => (await client.list(namespaces, {}, signal)).items, []),
    allowed(() => installedComponents(client, options.meshNamespace, signal), []),
    allowed(() => recordedValues(context), {}),
    allowed(() => defaultTags(client, signal), []),
  ]);
  return {
    version,
    clockAheadMs,
    gatewayApi,
    admissionPolicies,
    openshift,
    cilium: cilium && (cilium.data ?? {}),
    kubeProxy: proxies.length > 0,
    meshes: await otherMeshes(context),
    policies: policies.map(policyViewOf),
    namespaces: spaces.map((space) => ({
      name: space.metadata.name,
      enrolled: isEnrolled(space),
      sidecars:
        space.metadata.labels?.['istio-injection'] === 'enabled' ||
        space.metadata.labels?.['istio.io/rev'] !== undefined,
    })),
    installed,
    platform: textOf(values['global.platform']),
    commandVersion: (await context.shipped()).version,
    revision: textOf(objectOf(effective(values, 'istiod.env'))['REVISION']) || 'default',
    defaultTags: tags,
  };
}

async function defaultTags(client: KubeClient, signal: AbortSignal): Promise<readonly DefaultTag[]> {
  const selection = { labelSelector: 'istio.io/tag=default' };
  const { items } = await client.list(mutatingWebhookConfigurations, selection, signal);
  return await Promise.all(
    items.map(async ({ metadata: { name, labels }, ...rest }) => {
      const [webhook] = (rest as { readonly webhooks?: readonly unknown[] }).webhooks ?? [];
      const service = objectOf(objectOf(objectOf(webhook)['clientConfig'])['service']);
      const at = { namespace: textOf(service['namespace']), name: textOf(service['name']) };
      const isThere =
        at.name === '' ||
        (await allowed(async () => (await client.find(services, at, signal)) !== undefined, true));
      return {
        name,
        revision: labels?.['istio.io/rev'] ?? '',
        missingService: isThere ? undefined : `${at.namespace}/${at.name}`,
      };
    }),
  );
}

async function servesAdmissionPolicies(client: KubeClient, signal: AbortSignal): Promise<boolean> {
  const answer = await client.request(
    { method: 'GET', path: '/apis/admissionregistration.k8s.io/v1' },
    signal,
  );
  const { resources = [] } = (answer ?? {}) as { readonly resources?: readonly { readonly name: string }[] };
  return resources.some(({ name }) => name === 'validatingadmissionpolicies');
}

/** `fallback` where the user may not look, or the kind is not served. */
async function allowed<T>(ask: () => Promise<T>, fallback: T): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return fallback;
    throw error;
  }
}

async function otherMeshes({ client, signal }: Context) {
  const found = await Promise.all(
    MESHES.map(({ name, resource, labelSelector }) =>
      allowed(async () => {
        const { items } = await client.list(resource, { labelSelector }, signal);
        return items
          .filter((object: KubeObject) => !isOurs(object))
          .map(({ metadata }) => ({
            name,
            title: `${resource.kind} ${metadata.namespace ?? ''}/${metadata.name}`,
          }));
      }, []),
    ),
  );
  return found.flat();
}

/** The server's clock less ours, by the date in its answer: a second more or less. */
async function clockAhead({ client, clock, signal }: Context): Promise<number | undefined> {
  const beforeMs = clock.now();
  const answer = await client.transport.send({ method: 'GET', path: '/version', signal });
  answer.resume();
  const middleMs = (beforeMs + clock.now()) / 2;
  const toldMs = Date.parse(answer.headers.date ?? '');
  return Number.isNaN(toldMs) ? undefined : toldMs + HALF_SECOND_MS - middleMs;
}

/** A date in a header is cut off at its second. */
const HALF_SECOND_MS = 500;

/** Nodes without what pods would find out; empty if the user may not see nodes. */
export async function nodeViews({ client, signal }: Context): Promise<readonly NodeView[]> {
  const items = await allowed(async () => (await client.list(nodes, {}, signal)).items, []);
  return items.map(nodeView).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function nodeView(node: Node): NodeView {
  const info = objectOf(objectOf(node.status)['nodeInfo']);
  return {
    name: node.metadata.name,
    os: textOf(info['operatingSystem']) || 'linux',
    kubelet: textOf(info['kubeletVersion']),
    kernel: textOf(info['kernelVersion']),
    platform: platformOf(node),
    ready:
      node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false,
    probe: undefined,
  };
}
