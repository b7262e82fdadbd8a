/**
 * The mesh's settings while they change. A text that is wrong is reported, and the last good one stays in force; without
 * any ConfigMap, or with no such key, Istio's defaults are.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Scheduler } from '@ambit/collections/scheduler';
import { Singleton } from '@ambit/collections/singleton';
import type { ConfigMap } from '@ambit/kube/resources/core';
import { isDeepStrictEqual } from 'node:util';
import { type MeshConfig, readMeshConfig } from './read.ts';

export const MESH_CONFIG_KEY = 'mesh';

/** As Istio names it: each revision has its own. */
export function meshConfigName(revision: string): string {
  return revision === '' || revision === 'default' ? 'istio' : `istio-${revision}`;
}

/** @param key - `namespace/name` of the one that counts. */
export function deriveMeshConfig(
  configMaps: Collection<string, ConfigMap>,
  key: string,
  scheduler: Scheduler,
): Singleton<MeshConfig> {
  return new Singleton<MeshConfig>({
    name: 'mesh config',
    scheduler,
    inputs: [configMaps],
    compute: () => readMeshConfig(configMaps.get(key)?.data?.[MESH_CONFIG_KEY] ?? ''),
    equals: isDeepStrictEqual,
  });
}
