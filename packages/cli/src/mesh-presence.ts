/** Whether there is a mesh to speak of, and which namespaces it never takes: what a user must know before the label. */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import { configMaps, daemonSets } from '@ambit/kube/resources/core';
import type { Context } from './context.ts';

/** As Istio's charts name them, too. */
const AGENT = 'istio-cni-node';
const AGENT_CONFIG = 'istio-cni-config';

/** Whether a node agent is installed, Ambit's or Istio's; `undefined`: it may not be read. */
export async function hasMesh({ client, options, signal }: Context): Promise<boolean | undefined> {
  return await readable(async () => {
    const at = { namespace: options.meshNamespace, name: AGENT };
    return (await client.find(daemonSets, at, signal)) !== undefined;
  });
}

/** Namespaces whose pods the node agents leave alone, whatever their labels say; none, if that cannot be read. */
export async function excludedNamespaces({ client, options, signal }: Context): Promise<ReadonlySet<string>> {
  const at = { namespace: options.meshNamespace, name: AGENT_CONFIG };
  const config = await readable(() => client.find(configMaps, at, signal));
  const names = (config?.data?.['EXCLUDE_NAMESPACES'] ?? '').split(',').map((name) => name.trim());
  return new Set(names.filter((name) => name !== ''));
}

export function noMesh(meshNamespace: string): string {
  return `no mesh is installed in namespace ${meshNamespace}; "ambit install" installs one`;
}

async function readable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return undefined;
    throw error;
  }
}
