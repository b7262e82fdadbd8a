/** Which providers there are. The state and cache folders of this machine are given by whoever read the environment. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { LocalProvider } from './local/provider.ts';
import type { ClusterProvider } from './provider.ts';

export const PROVIDER_NAMES = ['local'] as const;
export type ProviderName = (typeof PROVIDER_NAMES)[number];

/** @param env - `AMBIT_CACHE` and `AMBIT_E2E_STATE` move the folders. */
export function localProvider(env: NodeJS.ProcessEnv): LocalProvider {
  return new LocalProvider({
    cacheFolder: env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit'),
    stateFolder: env['AMBIT_E2E_STATE'] ?? '/var/tmp/ambit-cluster',
  });
}

export function providerNamed(name: ProviderName, env: NodeJS.ProcessEnv): ClusterProvider {
  switch (name) {
    case 'local':
      return localProvider(env);
    default:
      return name satisfies never;
  }
}
