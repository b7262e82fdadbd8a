/** A cluster that an earlier run has kept, known by the file that it left. */
import { mkdirSync } from 'node:fs';
import { messageOf } from '@ambit/core/errors';
import type { Report } from '../cluster/provider.ts';
import { clusterFromFile } from '../cluster/providers.ts';

/**
 * Never rejects: the failure that it is about counts.
 *
 * @param file - What `AMBIT_E2E_CLUSTER` names.
 * @param folderOf - Where the logs of a cluster of that name go.
 * @returns the folder; `undefined` if there is no cluster to ask.
 */
export async function collectLogsOf(
  file: string,
  folderOf: (name: string) => string,
  env: NodeJS.ProcessEnv,
  report: Report,
): Promise<string | undefined> {
  try {
    const cluster = await clusterFromFile(file, env);
    const folder = folderOf(cluster.description.name);
    mkdirSync(folder, { recursive: true });
    await cluster.logs(folder);
    return folder;
  } catch (error) {
    report(`logs: ${messageOf(error)}`);
    return undefined;
  }
}
