/** The kubeconfig that `kubectl` uses: readable by its owner alone, written whole or not at all. */
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stringify } from 'yaml';

export interface KubeconfigUser {
  readonly name: string;
  readonly token: string;
}

export interface Kubeconfig {
  readonly server: string;
  readonly caPem: string;
  /** The first is whom the current context uses. */
  readonly users: readonly KubeconfigUser[];
}

const CLUSTER = 'ambit';

export function kubeconfigText({ server, caPem, users }: Kubeconfig): string {
  const contextOf = (name: string) => (name === users[0]?.name ? CLUSTER : `${name}@${CLUSTER}`);
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: CLUSTER,
        cluster: { server, 'certificate-authority-data': Buffer.from(caPem).toString('base64') },
      },
    ],
    users: users.map(({ name, token }) => ({ name, user: { token } })),
    contexts: users.map(({ name }) => ({ name: contextOf(name), context: { cluster: CLUSTER, user: name } })),
    'current-context': CLUSTER,
  });
}

export async function writeKubeconfig(path: string, kubeconfig: Kubeconfig): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  await writeFile(temporary, kubeconfigText(kubeconfig), { mode: 0o600 });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}
