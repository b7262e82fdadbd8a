/** Istio's kinds that nothing here reads: who brings objects of them from there must hear that they do nothing. */
import type { KubeObject, Resource } from '@ambit/kube/resource';
import type { Context } from './context.ts';
import { listed } from './listed.ts';

const resource = (group: string, version: string, kind: string, plural: string): Resource<KubeObject> => ({
  group,
  version,
  kind,
  plural,
  namespaced: true,
});

const UNREAD = [
  resource('networking.istio.io', 'v1alpha3', 'EnvoyFilter', 'envoyfilters'),
  resource('networking.istio.io', 'v1beta1', 'ProxyConfig', 'proxyconfigs'),
  resource('networking.istio.io', 'v1', 'Sidecar', 'sidecars'),
  resource('networking.istio.io', 'v1', 'WorkloadGroup', 'workloadgroups'),
  resource('extensions.istio.io', 'v1alpha1', 'WasmPlugin', 'wasmplugins'),
];

export interface UnreadObject {
  readonly kind: string;
  readonly object: KubeObject;
}

/** Objects that nobody reads. @param unseen - Gets the kinds that may not be listed. */
export async function unreadObjects(
  context: Context,
  namespace: string | undefined,
  unseen: string[],
): Promise<readonly UnreadObject[]> {
  const found = await Promise.all(
    UNREAD.map(async (of) =>
      (await listed(context, of, namespace, unseen)).map((object) => ({ kind: of.kind, object })),
    ),
  );
  return found.flat();
}
