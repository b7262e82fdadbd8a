/** The `ambit` command against the cluster under test, as a user runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Cluster } from './cluster.ts';

const MAIN = new URL('../../../packages/cli/src/main.ts', import.meta.url).pathname;

export interface Said {
  readonly status: number | null;
  /** Both outputs, as they came. */
  readonly text: string;
}

export async function runAmbit({ file }: Cluster, ...args: readonly string[]): Promise<Said> {
  const child = spawn(process.execPath, [MAIN, ...args, '--kubeconfig', file.kubeconfig], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, text };
}
