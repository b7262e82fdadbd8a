/** The project's own TypeScript files, for the checks beside this file. */
import { globSync, readFileSync } from 'node:fs';

export interface SourceFile {
  /** From the top of the repository, with forward slashes: `packages/core/src/ip.ts`. */
  readonly path: string;
  readonly text: string;
}

export const TOP = new URL('../../', import.meta.url).pathname;

export function sourceFiles(): readonly SourceFile[] {
  const patterns = ['packages/*/src/**/*.ts', 'tools/**/*.ts', 'e2e/**/*.ts'];
  return globSync(patterns, {
    cwd: TOP,
    exclude: (path) => path.includes('node_modules') || path.includes('dist/'),
  })
    .filter((path) => !path.includes('/src/gen/'))
    .sort()
    .map((path) => ({ path, text: readFileSync(TOP + path, 'utf8') }));
}

/** Comments blanked out, so that a rule speaks of code alone; strings stay, lines keep their numbers. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ' '));
}

/** What a file imports, as written. */
export function importsOf(text: string): readonly string[] {
  const pattern =
    /^\s*(?:import|export)\b[^'";]*?\bfrom\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  return [...withoutComments(text).matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}
