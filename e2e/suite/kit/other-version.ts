/**
 * A version of the mesh besides the one under test: its images on every node, and its own command, which knows how to
 * install them.
 *
 * With AMBIT_E2E_OTHER_COMMIT it is built from that commit, in a worktree with the dependencies that it had. Without, it is
 * the sources under test under another tag: every pod of the mesh is replaced in the same order, and nothing else differs.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastLines, runCommand } from '../../cluster/command.ts';
import type { Cluster } from './cluster.ts';

const TOP = new URL('../../../', import.meta.url).pathname;
const COMMIT = process.env['AMBIT_E2E_OTHER_COMMIT'];
const IMAGES = ['istiod', 'ztunnel', 'install-cni'];
const BUILD_TIMEOUT_MS = 600_000;
const COMMAND_TIMEOUT_MS = 170_000;

export interface Version {
  readonly tag: string;
  /** What it is made from, for the table. */
  readonly name: string;
  /** Takes the mesh to this version, by this version's command, and waits until it is ready. */
  install(): Promise<void>;
}

/** The version that the runner installed. */
export function versionUnderTest(cluster: Cluster): Version {
  return versionOf(cluster, TOP, cluster.file.images.tag, 'the version under test');
}

export class OtherVersion implements Version, AsyncDisposable {
  readonly tag: string;
  readonly name: string;
  readonly #version: Version;
  readonly #scope: AsyncDisposableStack;

  private constructor(version: Version, scope: AsyncDisposableStack) {
    this.tag = version.tag;
    this.name = version.name;
    this.#version = version;
    this.#scope = scope;
  }

  static async make(cluster: Cluster): Promise<OtherVersion> {
    const machine = await cluster.needs('load-images');
    await using scope = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), 'ambit-other-version-'));
    scope.defer(() => rmSync(folder, { recursive: true, force: true }));
    const top = COMMIT === undefined ? TOP : await worktree(COMMIT, join(folder, 'tree'), scope);
    const { hub, tag } = cluster.file.images;
    const other = `${tag}-other`;
    const out = join(folder, 'images');
    await must(['node', 'tools/images/main.ts', '--out', out, '--hub', hub, '--tag', other, ...IMAGES], top);
    await machine.load(readdirSync(out).flatMap((name) => (name.endsWith('.tar') ? [join(out, name)] : [])));
    const name = COMMIT === undefined ? 'the same under another tag' : `commit ${COMMIT}`;
    return new OtherVersion(versionOf(cluster, top, other, name), scope.move());
  }

  install(): Promise<void> {
    return this.#version.install();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.disposeAsync();
  }
}

function versionOf({ file }: Cluster, top: string, tag: string, name: string): Version {
  const values = ['--set', `global.hub=${file.images.hub}`, '--set', `global.tag=${tag}`];
  // Suites before this one own fields of the mesh that they patched.
  const command = [
    'node',
    'packages/cli/src/main.ts',
    'upgrade',
    '--yes',
    '--allow-downgrade',
    '--force-conflicts',
  ];
  return {
    tag,
    name,
    install: () =>
      must(
        [...command, '--timeout', '150s', ...values, '--kubeconfig', file.kubeconfig],
        top,
        COMMAND_TIMEOUT_MS,
      ),
  };
}

async function worktree(commit: string, folder: string, scope: AsyncDisposableStack): Promise<string> {
  await must(['git', 'worktree', 'add', '--detach', folder, commit], TOP);
  scope.defer(() => must(['git', 'worktree', 'remove', '--force', folder], TOP));
  await must(['npm', 'ci', '--no-audit', '--no-fund', '--prefer-offline'], folder);
  return folder;
}

/** `node` is the one that the version under test is pinned to. */
async function must(command: readonly string[], cwd: string, timeoutMs = BUILD_TIMEOUT_MS): Promise<void> {
  const [file = '', ...args] = command;
  const program = file === 'node' ? process.execPath : file;
  const { exitCode, stdout, stderr } = await runCommand([program, ...args], { cwd, timeoutMs });
  if (exitCode !== 0)
    throw new Error(`${command.join(' ')} ended with ${exitCode}: ${lastLines(stdout + stderr)}`);
}
