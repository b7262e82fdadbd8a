/**
 * Leaves a bundle's compiled code beside it, for images: where the bundle cannot write, it would be compiled anew with every
 * start, on every thread.
 *
 * V8 takes compiled code only from the same version of itself under the same flags, and compiles as ever if it is not that:
 * so nothing depends on it but time. The bundle's entry must ask for it (`NODE_COMPILE_CACHE`, and with
 * `NODE_COMPILE_CACHE_PORTABLE`, since an image's folder has another name).
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '../errors.ts';

/** In a bundle's folder. */
export const COMPILE_CACHE = 'compile-cache';

/** The bundle could not be compiled ahead. */
export class CompileAheadError extends MeshError {
  readonly code = 'COMPILE_AHEAD';
  readonly side = 'internal';
}

export interface CompileAheadOptions {
  /** The executable that the bundle will be run by. */
  readonly node: string;
  /** V8's flags that it will be run with. */
  readonly flags: readonly string[];
}

const TIMEOUT_MS = 60_000;

/**
 * Loads each file of the bundle but `main.mjs`, which would run the program and says next to nothing itself. One that wants
 * to be a thread fails after it was compiled, which is all that is asked of it.
 */
const LOAD = `
  for (const file of process.argv.slice(1))
    await import(file).catch((error) => {
      if (error instanceof SyntaxError || error.code === 'ERR_MODULE_NOT_FOUND') throw error;
    });
  process.exit(0);
`;

/** @param folder - Of the bundle, with the native packages that it needs. Gets {@link COMPILE_CACHE}. */
export function compileAhead(folder: string, { node, flags }: CompileAheadOptions): void {
  const cache = join(folder, COMPILE_CACHE);
  rmSync(cache, { recursive: true, force: true });
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.mjs') && path !== 'main.mjs' && !path.startsWith('node_modules/'))
    .map((path) => join(folder, path));
  const { status, signal, stderr, error } = spawnSync(
    node,
    [...flags, '--input-type=module', '--eval', LOAD, '--', ...files],
    {
      env: { NODE_COMPILE_CACHE: cache, NODE_COMPILE_CACHE_PORTABLE: '1' },
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
    },
  );
  if (status !== 0)
    throw new CompileAheadError(`${node} ended with ${status ?? signal ?? error?.message}: ${stderr}`);
  // Node keeps what it writes to the user who ran it; programs of images are other users.
  for (const entry of readdirSync(cache, { recursive: true, withFileTypes: true }))
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
}
