/**
 * Makes the plugin one file that a container runtime can execute: a script whose first line names the Node that runs it.
 *
 * On a cluster the node agent puts it on its node with a Node beside it, and writes that first line (agent/install).
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { PLUGIN_TYPE } from '../names.ts';

export interface BuildOptions {
  /** Gets the file `istio-cni`; made if missing. */
  readonly outDirectory: string;
  /** The Node that runs it. Absolute. */
  readonly node: string;
}

const MAIN = new URL('../plugin-main.ts', import.meta.url).pathname;
/** What the kernel reads of a first line. */
const SHEBANG_MAX_BYTES = 255;

/** @returns the path of the plugin. */
export async function buildPlugin({ outDirectory, node }: BuildOptions): Promise<string> {
  mkdirSync(outDirectory, { recursive: true });
  const target = join(outDirectory, PLUGIN_TYPE);
  const bundle = await bundleText();
  writeScript(target, node, bundle);
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
