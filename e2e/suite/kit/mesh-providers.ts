/** Providers that the mesh's settings name, for as long as a suite runs: settings that are there stay. */
import { configMaps } from '@ambit/kube/resources/core';
import type { Suite } from './suite.ts';

const AT = { namespace: 'istio-system', name: 'istio' };

/** @param providers - `extensionProviders` of meshConfig. @throws Error if the mesh has some already. */
export async function useProviders(suite: Suite, providers: readonly object[]): Promise<void> {
  const { client: api } = suite.cluster;
  const before = (await api.find(configMaps, AT))?.data?.['mesh'];
  if (before?.includes('extensionProviders')) throw new Error('the mesh has providers, which would be lost');
  const mesh = `${before ?? ''}\nextensionProviders: ${JSON.stringify(providers)}\n`;
  if (before === undefined) {
    await suite.applyForNow({ apiVersion: 'v1', kind: 'ConfigMap', metadata: AT, ...{ data: { mesh } } });
    return;
  }
  const set = async (text: string) => {
    await api.patch(configMaps, AT, { type: 'merge', body: { data: { mesh: text } } });
  };
  suite.atEnd(() => set(before));
  await set(mesh);
}
