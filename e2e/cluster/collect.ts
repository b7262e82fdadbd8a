/** What there is to see of a cluster after a failure, by kubectl: objects, events, and what pods logged. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '@ambit/core/errors';
import { type Run, runCommand } from './command.ts';
import type { ClusterDescription } from './provider.ts';

const LOG_TIMEOUT_MS = 20_000;
/** Of each container. */
const LOG_LINES = 20_000;
const OBJECTS: Readonly<Record<string, readonly string[]>> = {
  'pods.txt': ['get', 'pods', '--all-namespaces', '-o', 'wide'],
  'events.txt': ['get', 'events', '--all-namespaces', '--sort-by=.lastTimestamp'],
  'objects.yaml': [
    'get',
    'nodes,pods,services,daemonsets,deployments,jobs,configmaps',
    '--all-namespaces',
    '-o',
    'yaml',
  ],
};

/** Never rejects: what cannot be had is said in its file. */
export async function collectObjects(
  { kubectl, kubeconfig }: Pick<ClusterDescription, 'kubectl' | 'kubeconfig'>,
  folder: string,
  run: Run = runCommand,
): Promise<void> {
  const logs = join(folder, 'pods');
  mkdirSync(logs, { recursive: true });
  const ask = async (args: readonly string[]) => {
    const command = [kubectl, '--kubeconfig', kubeconfig, '--request-timeout=15s', ...args];
    return await run(command, { timeoutMs: LOG_TIMEOUT_MS }).catch((error: unknown) => ({
      exitCode: 1,
      stdout: '',
      stderr: messageOf(error),
    }));
  };
  for (const [file, args] of Object.entries(OBJECTS)) {
    const { stdout, stderr } = await ask(args);
    writeFileSync(join(folder, file), stdout + stderr);
  }
  const format = '{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\\n"}{end}';
  const { stdout: list } = await ask(['get', 'pods', '--all-namespaces', '-o', `jsonpath=${format}`]);
  for (const line of list.split('\n').filter((one) => one !== '')) {
    const [namespace = '', pod = ''] = line.split(' ');
    const args = [
      'logs',
      '--namespace',
      namespace,
      pod,
      '--all-containers',
      '--prefix',
      `--tail=${LOG_LINES}`,
    ];
    for (const [suffix, more] of [
      ['log', []],
      ['previous.log', ['--previous']],
    ] as const) {
      const { stdout, stderr } = await ask([...args, ...more]);
      if (stdout !== '' || suffix === 'log')
        writeFileSync(join(logs, `${namespace}_${pod}.${suffix}`), stdout + stderr);
    }
  }
}
