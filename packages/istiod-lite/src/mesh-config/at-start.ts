/**
 * What the mesh's settings say once and for all: the trust domain, and the namespace whose policies are the mesh's.
 *
 * Identities hang on the one and policies on the other, so both are read before anything else and stay what they were
 * until the next start. The ConfigMap goes before the environment, as it does in Istio. A text that is wrong is waited for:
 * nobody knows what it was to say.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { configMaps } from '@ambit/kube/resources/core';
import { WRITE_RETRY_INITIAL_MS, WRITE_RETRY_MAX_MS } from '../limits.ts';
import { MESH_CONFIG_KEY, meshConfigName } from './mesh-config.ts';
import type { MeshConfigProblems } from './problems.ts';
import { type MeshConfig, meshConfigIn } from './read.ts';

export interface FixedSettings {
  readonly namespace: string;
  readonly revision: string;
  readonly trustDomain: string;
  readonly rootNamespace: string | undefined;
}

export interface AtStartOptions {
  readonly client: KubeClient;
  readonly problems: MeshConfigProblems;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** `config` with what the ConfigMap says. Waits for the API server and for a text that is right; rejects when `signal` aborts. */
export async function withMeshConfigAtStart<T extends FixedSettings>(
  config: T,
  options: AtStartOptions,
  signal: AbortSignal,
): Promise<T> {
  const { trustDomain, rootNamespace } = await readOnce(config, options, signal);
  return {
    ...config,
    ...(trustDomain && { trustDomain }),
    ...(rootNamespace && { rootNamespace }),
  };
}

/** What of `config` counts at the next start only, in words; `undefined`: nothing. Pure. */
export function waitsForStart(
  { trustDomain, rootNamespace }: Pick<MeshConfig, 'trustDomain' | 'rootNamespace'>,
  now: { readonly trustDomain: string; readonly rootNamespace: string },
): string | undefined {
  const waiting = [
    ...(trustDomain && trustDomain !== now.trustDomain ? [`trustDomain ${trustDomain}`] : []),
    ...(rootNamespace && rootNamespace !== now.rootNamespace ? [`rootNamespace ${rootNamespace}`] : []),
  ];
  return waiting.length > 0 ? waiting.join(', ') : undefined;
}

async function readOnce(
  { namespace, revision }: FixedSettings,
  { client, problems, clock, random, log }: AtStartOptions,
  signal: AbortSignal,
): Promise<MeshConfig> {
  const backoff = new Backoff(
    { initialMs: WRITE_RETRY_INITIAL_MS, maxMs: WRITE_RETRY_MAX_MS, jitter: 0.2 },
    random,
  );
  const name = meshConfigName(revision);
  for (;;) {
    const waitMs = backoff.nextMs();
    try {
      const found = await client.find(configMaps, { namespace, name }, signal);
      const read = meshConfigIn(found?.data?.[MESH_CONFIG_KEY] ?? '');
      if (!('problem' in read)) {
        problems.report(undefined, '');
        return read.config;
      }
      problems.report(read.problem, 'nothing is served until they are right', found);
    } catch (error) {
      signal.throwIfAborted();
      log.warn('cannot read the settings of the mesh, trying again', { error: messageOf(error), waitMs });
    }
    await clock.sleep(waitMs, signal);
  }
}
