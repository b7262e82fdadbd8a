/** Real Helm, built once from its Go module into a cache outside the repository, and the chart rendered by it. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CHART } from '../generate/chart-reference.ts';

const run = promisify(execFile);

const VERSION = 'v3.22.0';
/** The chart asks for a version of Kubernetes, which a Helm built this way does not know by itself. */
const KUBERNETES_VERSION = '1.34.0';
const NAME = 'ambit';
const NAMESPACE = 'istio-system';
const RELEASE = [NAME, CHART, '--namespace', NAMESPACE, '--kube-version', KUBERNETES_VERSION];
const MAX_OUTPUT_BYTES = 16 * 1_048_576;

export class Helm {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The chart's objects as YAML; `settings` are arguments such as `--set a=b`. Rejects with what Helm said. */
  async template(...settings: readonly string[]): Promise<string> {
    return this.#run('template', ...RELEASE, ...settings);
  }

  async lint(...settings: readonly string[]): Promise<string> {
    return this.#run('lint', CHART, '--strict', '--kube-version', KUBERNETES_VERSION, ...settings);
  }

  /** A subcommand that talks to a cluster: `install`, `upgrade` (both with the chart) or `uninstall`, of release `ambit`. */
  async release(
    subcommand: 'install' | 'upgrade' | 'uninstall',
    kubeconfig: string,
    ...settings: readonly string[]
  ): Promise<string> {
    const chart = subcommand === 'uninstall' ? [] : [CHART];
    const at = ['--namespace', NAMESPACE, '--kubeconfig', kubeconfig];
    return this.#run(subcommand, NAME, ...chart, ...at, ...settings);
  }

  async #run(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(this.#path, args, { maxBuffer: MAX_OUTPUT_BYTES });
    return stdout;
  }
}

/** Helm, or a reason in words why it is not to be had here. The first call builds it, which takes minutes. */
export async function helm(env: NodeJS.ProcessEnv): Promise<Helm | { readonly missing: string }> {
  const cache = join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ambit');
  const folder = join(cache, `helm-${VERSION}`);
  const path = join(folder, 'helm');
  if (existsSync(path)) return new Helm(path);
  mkdirSync(cache, { recursive: true });
  const building = mkdtempSync(`${folder}-`);
  try {
    await run('go', ['install', `helm.sh/helm/v3/cmd/helm@${VERSION}`], { env: { ...env, GOBIN: building } });
    mkdirSync(folder, { recursive: true });
    renameSync(join(building, 'helm'), path);
    return new Helm(path);
  } catch (error) {
    return { missing: `helm could not be built with Go: ${String(error)}` };
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
}
