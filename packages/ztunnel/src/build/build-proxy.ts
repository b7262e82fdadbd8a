/**
 * Makes ztunnel two files of plain JavaScript: the control thread's and the data workers'.
 *
 * Run from its sources, every thread carries Node's type stripper and hundreds of modules: some 65 MB more in all. What is
 * native (koffi) is not bundled: it is loaded from the `node_modules` above the folder.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

export interface ProxyBundle {
  /** What `node` is started with. */
  readonly main: string;
}

const SOURCE = new URL('../', import.meta.url).pathname;

/** Bundled CommonJS modules ask for these, which ES modules do not have. */
const BANNER = [
  "import { createRequire as ambitCreateRequire } from 'node:module';",
  'const require = ambitCreateRequire(import.meta.url);',
  'const __filename = import.meta.filename;',
  'const __dirname = import.meta.dirname;',
].join('\n');

/** @param folder - Gets `main.mjs` and `worker/main.mjs`; made if missing. */
export async function buildProxy(folder: string): Promise<ProxyBundle> {
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: { main: `${SOURCE}main.ts`, 'worker/main': `${SOURCE}worker/main.ts` },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    minify: true,
    keepNames: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    external: ['koffi'],
    banner: { js: BANNER },
    logLevel: 'error',
  });
  return { main: join(folder, 'main.mjs') };
}
