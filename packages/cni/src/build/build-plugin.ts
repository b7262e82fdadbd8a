/**
 * Makes the plugin one file that a container runtime can execute.
 *
 * Two forms of the same bundle: a script whose first line names the Node that runs it (for a machine that keeps that
 * Node, as the lab does), and a single executable that brings its own (for nodes that have none).
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { PLUGIN_TYPE } from '../names.ts';

export interface BuildOptions {
  /** Gets the file `istio-cni`; made if missing. */
  readonly outDirectory: string;
  readonly form: 'script' | 'executable';
  /** The Node that runs the script, or that the executable is made of. Absolute. */
  readonly node: string;
}

const MAIN = new URL('../plugin-main.ts', import.meta.url).pathname;
/** What the kernel reads of a first line. */
const SHEBANG_MAX_BYTES = 255;

/** @returns the path of the plugin. */
export async function buildPlugin({ outDirectory, form, node }: BuildOptions): Promise<string> {
  mkdirSync(outDirectory, { recursive: true });
  const target = join(outDirectory, PLUGIN_TYPE);
  const bundle = await bundleText();
  if (form === 'script') writeScript(target, node, bundle);
  else writeExecutable(target, node, bundle);
  return target;
}

async function bundleText(): Promise<string> {
  const result = await build({
    entryPoints: [MAIN],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    minifySyntax: true,
    logLevel: 'error',
  });
  const [file] = result.outputFiles;
  if (!file) throw new Error('esbuild wrote nothing');
  return file.text;
}

/** Written beside and renamed: a runtime may be about to execute the file that is there. */
function writeScript(target: string, node: string, bundle: string): void {
  const shebang = `#!${node}\n`;
  if (Buffer.byteLength(shebang) > SHEBANG_MAX_BYTES)
    throw new Error(`the path of Node is too long for a script's first line: ${node}`);
  const temporary = `${target}.tmp.${process.pid}`;
  writeFileSync(temporary, shebang + bundle, { mode: 0o755 });
  renameSync(temporary, target);
}

function writeExecutable(target: string, node: string, bundle: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-cni-'));
  const temporary = `${target}.tmp.${process.pid}`;
  try {
    const main = join(folder, 'plugin.cjs');
    const config = join(folder, 'sea.json');
    writeFileSync(main, bundle);
    writeFileSync(
      config,
      JSON.stringify({ main, output: temporary, disableExperimentalSEAWarning: true, useCodeCache: true }),
    );
    execFileSync(node, ['--build-sea', config], { stdio: ['ignore', 'ignore', 'inherit'] });
    chmodSync(temporary, 0o755);
    renameSync(temporary, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(temporary, { force: true });
  }
}
