/** Which providers there are, and how a suite gets at the cluster that the runner left. */
import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ExistingProvider } from './existing/provider.ts';
import { KindProvider } from './kind/provider.ts';
import { LocalProvider } from './local/provider.ts';
import type { Cluster, ClusterDescription, ClusterProvider } from './provider.ts';

export const PROVIDER_NAMES = ['local', 'kind', 'existing'] as const;
export type ProviderName = (typeof PROVIDER_NAMES)[number];

export interface ProviderChoice {
  readonly provider: ProviderName;
  readonly nodeImage?: string | undefined;
  readonly loadCommand?: string | undefined;
}

/** @param env - `AMBIT_CACHE` and `AMBIT_E2E_STATE` move the folders, `KUBECONFIG` is the existing cluster's. */
export function providerNamed(choice: ProviderChoice, env: NodeJS.ProcessEnv): ClusterProvider {
  switch (choice.provider) {
    case 'local':
      return localProvider(env);
    case 'kind': {
      const folder = cacheFolder(env);
      mkdirSync(folder, { recursive: true });
      return new KindProvider({ folder, nodeImage: choice.nodeImage });
    }
    case 'existing':
      return new ExistingProvider({ kubeconfig: env['KUBECONFIG'], loadCommand: choice.loadCommand });
    default:
      return choice.provider satisfies never;
  }
}

export function localProvider(env: NodeJS.ProcessEnv): LocalProvider {
  const stateFolder = env['AMBIT_E2E_STATE'] ?? '/var/tmp/ambit-cluster';
  return new LocalProvider({ cacheFolder: cacheFolder(env), stateFolder });
}

/** Where what is built once is kept. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit');
}

/** @param file - What `AMBIT_E2E_CLUSTER` names. */
export async function clusterFromFile(file: string, env: NodeJS.ProcessEnv): Promise<Cluster> {
  const description = JSON.parse(readFileSync(file, 'utf8')) as ClusterDescription;
  const { provider, kubeconfig } = description;
  return await providerNamed({ provider }, { ...env, KUBECONFIG: kubeconfig }).attach(description);
}
