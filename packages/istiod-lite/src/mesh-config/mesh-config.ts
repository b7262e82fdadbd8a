/**
 * The mesh's settings while they change. A text that is wrong is reported, and the last good one stays in force; without
 * any ConfigMap, or with no such key, Istio's defaults are.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Scheduler } from '@ambit/collections/scheduler';
import { Singleton } from '@ambit/collections/singleton';
import type { ConfigMap } from '@ambit/kube/resources/core';
import { isDeepStrictEqual } from 'node:util';
import { type MeshConfig, meshConfigIn } from './read.ts';
import { discoversAll } from './select.ts';

export const MESH_CONFIG_KEY = 'mesh';

/** As Istio names it: each revision has its own. */
export function meshConfigName(revision: string): string {
  return revision === '' || revision === 'default' ? 'istio' : `istio-${revision}`;
}

export interface DerivedMeshConfig {
  /** None until a text was right. */
  readonly meshConfig: Singleton<MeshConfig>;
  /** What is wrong with the text as it is now; none: nothing. */
  readonly problem: Singleton<string>;
}

/** @param key - `namespace/name` of the one that counts. */
export function deriveMeshConfig(
  configMaps: Collection<string, ConfigMap>,
  key: string,
  scheduler: Scheduler,
): DerivedMeshConfig {
  const read = new Singleton({
    name: 'mesh config as it is written',
    scheduler,
    inputs: [configMaps],
    compute: () => meshConfigIn(configMaps.get(key)?.data?.[MESH_CONFIG_KEY] ?? ''),
    equals: isDeepStrictEqual,
  });
  const problem = new Singleton<string>({
    name: 'problem of the mesh config',
    scheduler,
    inputs: [read],
    compute: () => (read.value && 'problem' in read.value ? read.value.problem : undefined),
  });
  const meshConfig: Singleton<MeshConfig> = new Singleton<MeshConfig>({
    name: 'mesh config',
    scheduler,
    inputs: [read],
    compute: () => (read.value && 'config' in read.value ? read.value.config : meshConfig.value),
    equals: isDeepStrictEqual,
  });
  return { meshConfig, problem };
}

/** What becomes visible to all by such a change, in words: it is legal, and easily made by mistake. Pure. */
export function widening(before: MeshConfig | undefined, after: MeshConfig | undefined): string | undefined {
  if (before === undefined || discoversAll(before) || !discoversAll(after)) return undefined;
  return 'no discovery selectors any more: every namespace is looked at from now on';
}
