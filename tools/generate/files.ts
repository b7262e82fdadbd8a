/** Folders of generated files: read whole, written whole, compared whole. */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const TOP = new URL('../../', import.meta.url).pathname;

/** File name (below the output folder) → text. */
export type Output = ReadonlyMap<string, string>;

export function filesBelow(folder: string, pattern = '**/*'): Output {
  const names = globSync(pattern, { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/** Makes `folder` hold `files` and nothing else. */
export function writeFolder(folder: string, files: Output): void {
  rmSync(folder, { recursive: true, force: true });
  for (const [name, text] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/** One line for each file that is not what it should be. */
export function differences(folder: string, wanted: Output, found: Output): readonly string[] {
  const names = [...new Set([...wanted.keys(), ...found.keys()])].sort();
  return names.flatMap((name) => {
    if (wanted.get(name) === found.get(name)) return [];
    const what = !found.has(name)
      ? 'missing'
      : wanted.has(name)
        ? 'differs from its source'
        : 'has no source';
    return [`${folder}/${name}: ${what}`];
  });
}
