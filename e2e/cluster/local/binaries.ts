/**
 * The cluster's programs, built once from Go modules and kept by version.
 *
 * What is built, and which version, say the go.mod files below `go/`; their go.sum files pin every byte that goes in. A
 * folder of the cache is complete or not there: it is filled beside its place and renamed.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, runCommand } from '../command.ts';
import { ProviderError } from '../errors.ts';
import type { Report } from '../provider.ts';
import { goCommand } from './go-toolchain.ts';

const MODULES = new URL('./go/', import.meta.url).pathname;
const BUILD_TIMEOUT_MS = 30 * 60_000;

interface Program {
  readonly name: string;
  /** Below `go/`. */
  readonly module: string;
  /** What `go build` is asked for. */
  readonly package: string;
  /** Whose version in go.mod is the program's. */
  readonly dependency: string | undefined;
}

const KUBERNETES = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
];

export const PROGRAMS: readonly Program[] = [
  { name: 'pause', module: 'pause', package: '.', dependency: undefined },
  {
    name: 'etcd',
    module: 'etcd',
    package: 'go.etcd.io/etcd/server/v3',
    dependency: 'go.etcd.io/etcd/server/v3',
  },
  { name: 'coredns', module: 'coredns', package: '.', dependency: 'github.com/coredns/coredns' },
  ...KUBERNETES.map((name) => ({
    name,
    module: 'kubernetes',
    package: `k8s.io/kubernetes/cmd/${name}`,
    dependency: 'k8s.io/kubernetes',
  })),
];

/** @returns the folder with every program, by its name. */
export async function clusterBinaries(cache: string, report: Report, signal: AbortSignal): Promise<string> {
  const folder = join(cache, 'cluster', cacheKey());
  const missing = PROGRAMS.filter(({ name }) => !existsSync(join(folder, name)));
  if (missing.length === 0) return folder;
  const go = await goCommand(report);
  mkdirSync(folder, { recursive: true });
  for (const [index, program] of missing.entries()) {
    const started = performance.now();
    report(`building ${program.name} (${index + 1} of ${missing.length}; once, kept in ${folder})`);
    await build(program, go, folder, signal);
    report(`built ${program.name} in ${Math.round((performance.now() - started) / 1_000)} s`);
  }
  return folder;
}

async function build(
  program: Program,
  go: readonly string[],
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const work = mkdtempSync(join(folder, '.building-'));
  try {
    const target = join(work, program.name);
    const flags = ['-trimpath', '-mod=readonly', '-buildvcs=false', '-ldflags', linkerFlags(program)];
    const { exitCode, stderr } = await runCommand(
      ['nice', '-n', '10', ...go, 'build', ...flags, '-o', target, program.package],
      {
        cwd: join(MODULES, program.module),
        env: { ...process.env, CGO_ENABLED: '0' },
        timeoutMs: BUILD_TIMEOUT_MS,
      },
    );
    if (exitCode !== 0) throw new ProviderError(`${program.name} cannot be built: ${lastLines(stderr)}`);
    renameSync(target, join(folder, program.name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Kubernetes' programs say a version of their own only if the linker is told. */
function linkerFlags({ module, dependency }: Program): string {
  if (module !== 'kubernetes' || dependency === undefined) return '-s -w';
  const version = versionIn(module, dependency);
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const facts = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const settings = Object.entries(facts).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  return ['-s -w', ...settings].join(' ');
}

export function versionIn(module: string, dependency: string): string {
  const text = readFileSync(join(MODULES, module, 'go.mod'), 'utf8');
  const line = text.split('\n').find((one) =>
    one
      .replace(/^require/, '')
      .trim()
      .startsWith(`${dependency} v`),
  );
  const version = / (v\S+)/.exec(line ?? '')?.[1];
  if (version === undefined) throw new ProviderError(`${module}/go.mod does not require ${dependency}`);
  return version;
}

/** The versions for people, and a hash of all that goes in. */
function cacheKey(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(MODULES, { recursive: true, encoding: 'utf8' }).sort()) {
    if (/\.(mod|sum|go)$/.test(name)) hash.update(`${name}\0${readFileSync(join(MODULES, name), 'utf8')}\0`);
  }
  return `kubernetes-${versionIn('kubernetes', 'k8s.io/kubernetes')}-${process.arch}-${hash.digest('hex').slice(0, 12)}`;
}
