/** The cluster's programs, built once from the Go modules below `go/`. */
import { join } from 'node:path';
import { buildGoPrograms, type GoProgram, modulesHash, versionIn } from '../../go/programs.ts';
import type { Report } from '../provider.ts';

const MODULES = new URL('./go/', import.meta.url).pathname;
const KUBERNETES = 'k8s.io/kubernetes';

export const PROGRAMS: readonly GoProgram[] = [
  { name: 'pause', module: 'pause', package: '.' },
  { name: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  { name: 'coredns', module: 'coredns', package: '.' },
  ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy', 'kubectl'].map(
    kubernetesProgram,
  ),
];

/** @returns the folder with every program, by its name. */
export async function clusterBinaries(cache: string, report: Report, signal: AbortSignal): Promise<string> {
  const version = kubernetesVersion();
  const name = `kubernetes-${version}-${process.arch}-${modulesHash(MODULES)}`;
  const folder = join(cache, 'cluster', name);
  await buildGoPrograms({ modules: MODULES, programs: PROGRAMS, folder }, report, signal);
  return folder;
}

/** As go.mod has it: `v1.34.4`. */
export function kubernetesVersion(): string {
  return versionIn(join(MODULES, 'kubernetes'), KUBERNETES);
}

/** Kubernetes' programs say a version of their own only if the linker is told. */
function kubernetesProgram(name: string): GoProgram {
  const version = kubernetesVersion();
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const facts = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const settings = Object.fromEntries(
    Object.entries(facts).map(([fact, value]) => [`k8s.io/component-base/version.${fact}`, value]),
  );
  return { name, module: 'kubernetes', package: `${KUBERNETES}/cmd/${name}`, settings };
}
