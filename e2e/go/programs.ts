/**
 * Programs of others, built once from Go modules and kept by version.
 *
 * What is built, and which version, say the go.mod files; their go.sum files pin every byte that goes in. A folder of the
 * cache is complete or not there: a program is built beside its place and renamed.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, runCommand } from '../cluster/command.ts';
import { ProviderError } from '../cluster/errors.ts';
import type { Report } from '../cluster/provider.ts';
import { goCommand, type GoVersion } from './toolchain.ts';

const BUILD_TIMEOUT_MS = 30 * 60_000;
const GO_MOD = 'go.mod';

export interface GoProgram {
  readonly name: string;
  /** A folder of {@link GoPrograms.modules}. */
  readonly module: string;
  /** In place of the module's `go.mod`: other versions of what it depends on; its sums stand beside it. */
  readonly modFile?: string;
  /** What Go is asked for. */
  readonly package: string;
  /** Tests of the package as a program, in place of its main function. */
  readonly isTest?: boolean;
  /** Symbols that the linker sets. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface GoPrograms {
  /** Has a folder for each module. */
  readonly modules: string;
  readonly programs: readonly GoProgram[];
  /** Gets the programs, by name. */
  readonly folder: string;
}

/** Builds what is not there yet. */
export async function buildGoPrograms(
  { modules, programs, folder }: GoPrograms,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const missing = programs.filter(({ name }) => !existsSync(join(folder, name)));
  mkdirSync(folder, { recursive: true });
  for (const [index, program] of missing.entries()) {
    const started = performance.now();
    const module = join(modules, program.module);
    const go = await goCommand(versionWanted(module, program.modFile), report);
    report(`building ${program.name} (${index + 1} of ${missing.length}; once, kept in ${folder})`);
    await build(program, module, go, folder, signal);
    report(`built ${program.name} in ${Math.round((performance.now() - started) / 1_000)} s`);
  }
}

async function build(
  program: GoProgram,
  module: string,
  go: readonly string[],
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const work = mkdtempSync(join(folder, '.building-'));
  try {
    const target = join(work, program.name);
    const how = program.isTest ? ['test', '-c'] : ['build'];
    const settings = Object.entries(program.settings ?? {}).map(([name, value]) => `-X ${name}=${value}`);
    const linker = ['-s -w', ...settings].join(' ');
    const modFile = program.modFile === undefined ? [] : [`-modfile=${program.modFile}`];
    const flags = ['-trimpath', '-mod=readonly', ...modFile, '-buildvcs=false', '-ldflags', linker];
    const { exitCode, stderr } = await runCommand(
      ['nice', '-n', '10', ...go, ...how, ...flags, '-o', target, program.package],
      { cwd: module, env: { ...process.env, CGO_ENABLED: '0' }, timeoutMs: BUILD_TIMEOUT_MS },
    );
    if (exitCode !== 0) throw new ProviderError(`${program.name} cannot be built: ${lastLines(stderr)}`);
    renameSync(target, join(folder, program.name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @returns where a module's files are that a module here depends on; it is downloaded if need be. */
export async function goModuleFolder(
  module: string,
  dependency: string,
  report: Report,
  modFile = GO_MOD,
): Promise<string> {
  const go = await goCommand(versionWanted(module, modFile), report);
  const download = ['mod', 'download', `-modfile=${modFile}`, '-json', dependency];
  const { exitCode, stdout, stderr } = await runCommand([...go, ...download], {
    cwd: module,
    env: { ...process.env, GOFLAGS: '-mod=readonly' },
    timeoutMs: BUILD_TIMEOUT_MS,
  });
  const { Dir: folder } = exitCode === 0 ? (JSON.parse(stdout) as { readonly Dir?: string }) : {};
  if (folder === undefined)
    throw new ProviderError(`${dependency} cannot be downloaded: ${lastLines(stderr)}`);
  return folder;
}

/** A dependency's version, as a module's go.mod has it, or what stands in its place. */
export function versionIn(module: string, dependency: string, modFile = GO_MOD): string {
  const lines = readFileSync(join(module, modFile), 'utf8').split('\n');
  const line = lines.find((one) =>
    one
      .replace(/^require/, '')
      .trim()
      .startsWith(`${dependency} v`),
  );
  const version = / (v\S+)/.exec(line ?? '')?.[1];
  if (version === undefined) throw new ProviderError(`${module}/${modFile} does not require ${dependency}`);
  return version;
}

/** A hash of all that goes into the programs of these modules. */
export function modulesHash(modules: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(modules, { recursive: true, encoding: 'utf8' }).sort()) {
    if (/\.(mod|sum|go)$/.test(name)) hash.update(`${name}\0${readFileSync(join(modules, name), 'utf8')}\0`);
  }
  return hash.digest('hex').slice(0, 12);
}

function versionWanted(module: string, modFile = GO_MOD): GoVersion {
  const text = readFileSync(join(module, modFile), 'utf8');
  const [, major, minor] = /^go (\d+)\.(\d+)/m.exec(text) ?? [];
  if (major === undefined || minor === undefined) throw new ProviderError(`${module}/${modFile} names no Go`);
  return { major: Number(major), minor: Number(minor) };
}
