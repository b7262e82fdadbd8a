/**
 * A program and all that it imports, as plain JavaScript: what images hold and what a release starts.
 *
 * Run from its sources, a program carries Node's type stripper and hundreds of modules. What is native (koffi) is not
 * bundled: it is loaded from the `node_modules` above the folder, which `native-packages.ts` fills.
 */
import { mkdirSync } from 'node:fs';
import { build } from 'esbuild';
import { builtinModules } from './builtin-modules.ts';

/** What a bundle leaves to the `node_modules` above it. */
export const NATIVE_PACKAGES: readonly string[] = ['koffi'];

/** Bundled CommonJS modules ask for these, which ES modules do not have. */
const BANNER = [
  "import { createRequire as ambitCreateRequire } from 'node:module';",
  'const require = ambitCreateRequire(import.meta.url);',
  'const __filename = import.meta.filename;',
  'const __dirname = import.meta.dirname;',
].join('\n');

/** What the sources are written for; {@link OLD_NODE} parses what is to tell that it needs a newer one. */
const NODE = 26;
const OLD_NODE = 18;

/** An older Node would print its syntax error with the line, which is the whole program. Ahead of all but built-in modules. */
const CHECK = (program: string) =>
  [
    `if (Number(process.versions.node.split('.')[0]) < ${NODE}) {`,
    `  process.stderr.write('${program}: this needs Node ${NODE} or later, and ' + process.execPath + ' is ' + process.versions.node + '\\n');`,
    '  process.exit(1);',
    '}',
  ].join('\n');

/**
 * @param entryPoints - Source files by the name of their bundle: `main` becomes `main.mjs`.
 * @param folder - Made if missing.
 * @param constants - Values by the names that sources declare for them, such as what comes with a release.
 * @param form - With `one file` there is nothing beside it, and whatever Node runs it, it says which it needs.
 */
export async function bundle(
  entryPoints: Readonly<Record<string, string>>,
  folder: string,
  constants: Readonly<Record<string, unknown>> = {},
  form: 'folder' | 'one file' = 'folder',
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const isAlone = form === 'one file';
  await build({
    entryPoints: { ...entryPoints },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    // What is imported when it is needed stays a file of its own, beside the others, since code may look for files there.
    splitting: !isAlone,
    chunkNames: '[name]-[hash]',
    // Names stay as they are, for whoever reads a stack; of two that are alike in one bundle, one gets a number. To shorten
    // them and put the old ones back while the program runs (`keepNames`) would cost 0.4 µs for each closure made.
    minifySyntax: true,
    minifyWhitespace: true,
    platform: 'node',
    format: 'esm',
    target: `node${isAlone ? OLD_NODE : NODE}`,
    external: [...NATIVE_PACKAGES],
    plugins: [builtinModules],
    define: Object.fromEntries(
      Object.entries(constants).map(([name, value]) => [name, JSON.stringify(value)]),
    ),
    banner: { js: isAlone ? `${CHECK(Object.keys(entryPoints).join())}\n${BANNER}` : BANNER },
    logLevel: 'error',
  });
}
