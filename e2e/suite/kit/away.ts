/** A part of the mesh that is not there: its pods are replaced by ones that do not start, as when an upgrade goes wrong. */
import { daemonSets, deployments, type Pod, pods } from '@ambit/kube/resources/core';
import { PARTS, SYSTEM } from './mesh.ts';
import type { Suite } from './suite.ts';
import { until } from './wait.ts';

/** What a node cannot fetch. */
const NO_IMAGE = 'ambit.invalid/install-cni:none';

export type Away = 'agent' | 'ztunnel';
const CONTAINERS: Readonly<Record<Away, string>> = { agent: 'install-cni', ztunnel: 'istio-proxy' };

/**
 * From now on no pod of the part starts; those that run go on.
 *
 * @returns what brings it back; that is done when the suite ends, in any case.
 */
export async function keepFromStarting(suite: Suite, part: Away): Promise<() => Promise<void>> {
  const setImage = async (image: string, updateStrategy: object) => {
    const containers = [{ name: CONTAINERS[part], image }];
    await suite.mesh.patch(part, { spec: { updateStrategy, template: { spec: { containers } } } });
  };
  const { spec } = await suite.mesh.podOf(part);
  const image = spec?.containers?.[0]?.image ?? '';
  const at = { namespace: SYSTEM, name: PARTS[part].name };
  const { spec: as } = await suite.cluster.client.get(daemonSets, at);
  const { updateStrategy = {} } = as as { readonly updateStrategy?: object };
  const bringBack = async () => {
    await setImage(image, updateStrategy);
    await suite.mesh.rolledOut(part);
  };
  suite.atEnd(bringBack);
  // Only a pod that is new gets the image then.
  await setImage(NO_IMAGE, { type: 'OnDelete', rollingUpdate: null });
  // Else the pod that comes next may be one of before.
  await until('the controller has seen it', async () => {
    const { metadata: wanted, status } = await suite.cluster.client.get(daemonSets, at);
    return (status?.observedGeneration ?? 0) >= (wanted.generation ?? 0);
  });
  return bringBack;
}

/** Takes a part away from a node. @returns as {@link keepFromStarting}. */
export async function takeAway(suite: Suite, part: Away, node: string): Promise<() => Promise<void>> {
  const { metadata } = await suite.mesh.podOf(part, node);
  const bringBack = await keepFromStarting(suite, part);
  await suite.cluster.client.delete(pods, { namespace: metadata.namespace, name: metadata.name });
  await until(
    `no ${part}`,
    async () =>
      (await suite.mesh.podsOf(part)).every((pod) => pod.spec?.nodeName !== node || !isRunning(pod)),
    { timeoutMs: 150_000 },
  );
  return bringBack;
}

/** Scales the control plane to nothing. @returns as {@link keepFromStarting}. */
export async function takeControlPlaneAway(suite: Suite): Promise<() => Promise<void>> {
  const at = { namespace: SYSTEM, name: PARTS.istiod.name };
  const { spec } = await suite.cluster.client.get(deployments, at);
  const { replicas = 1 } = spec as { readonly replicas?: number };
  const bringBack = async () => {
    await suite.mesh.patch('istiod', { spec: { replicas } });
    await suite.mesh.rolledOut('istiod');
  };
  suite.atEnd(bringBack);
  await suite.mesh.patch('istiod', { spec: { replicas: 0 } });
  await until('no control plane', async () => (await suite.mesh.podsOf('istiod')).length === 0, {
    timeoutMs: 150_000,
  });
  return bringBack;
}

const isRunning = ({ status }: Pod) => status?.phase === 'Running';
