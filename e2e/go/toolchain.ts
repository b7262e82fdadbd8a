/**
 * A Go that is new enough: the one in PATH, or a toolchain that it downloads from the module proxy.
 *
 * Go 1.21 and later switch by themselves when asked. An older one (Debian 12's is 1.19) can still download the toolchain,
 * which is a module, but unpacks its programs without leave to execute them.
 */
import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, runCommand } from '../cluster/command.ts';
import { ProviderError } from '../cluster/errors.ts';
import type { Report } from '../cluster/provider.ts';

export interface GoVersion {
  readonly major: number;
  readonly minor: number;
}

/** What is downloaded where PATH's is older: the first that is new enough. */
const TOOLCHAINS = ['go1.26.8', 'go1.27.3'];
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;

/** @param wanted - The oldest that will do. @returns how to call it: `['go']`, or a path. */
export async function goCommand(wanted: GoVersion, report: Report): Promise<readonly string[]> {
  const asked = await runCommand(['go', 'env', 'GOVERSION'], {
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  }).catch((error: unknown) => {
    throw new ProviderError('Go is missing (Debian and Ubuntu: package golang-go)', { cause: error });
  });
  const version = asked.stdout.trim();
  if (isAtLeast(version, wanted)) return ['go'];
  const toolchain = TOOLCHAINS.find((one) => isAtLeast(one, wanted));
  if (toolchain === undefined)
    throw new ProviderError(`no toolchain here is Go ${wanted.major}.${wanted.minor}`);
  report(`${version || 'this Go'} is too old: downloading ${toolchain}`);
  if (isAtLeast(version, { major: 1, minor: 21 })) return ['env', `GOTOOLCHAIN=${toolchain}`, 'go'];
  return [join(await downloadedToolchain(toolchain), 'bin', 'go')];
}

/** @param version - As Go says it: `go1.26.8`, `devel go1.27-…`. */
export function isAtLeast(version: string, wanted: GoVersion): boolean {
  const [, major = 0, minor = 0] = (/go(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  return major > wanted.major || (major === wanted.major && minor >= wanted.minor);
}

async function downloadedToolchain(toolchain: string): Promise<string> {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const module = `golang.org/toolchain@v0.0.1-${toolchain}.linux-${arch}`;
  const answer = await mustRun(['go', 'mod', 'download', '-json', module], {
    env: { ...process.env, GOFLAGS: '-mod=mod' },
    timeoutMs: DOWNLOAD_TIMEOUT_MS,
    cwd: '/',
  });
  const { Dir: folder } = JSON.parse(answer) as { readonly Dir?: string };
  if (folder === undefined) throw new ProviderError(`${module} cannot be downloaded`);
  for (const programs of ['bin', 'pkg/tool'])
    for (const entry of readdirSync(join(folder, programs), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) chmodSync(join(entry.parentPath, entry.name), 0o555);
  return folder;
}
