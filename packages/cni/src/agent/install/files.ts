/**
 * Files that others read at any moment: written beside and renamed, so that nobody ever sees half of one.
 *
 * What gets its name is on the disk: a node that loses power in that moment must not come up with an empty plugin or an
 * empty configuration, since this agent's own pod could not start to put it right.
 */
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '@ambit/core/errors';
import { CNI_CONFIG_MAX_BYTES } from '../../limits.ts';
import type { ConfigFile } from './conflist.ts';

export function writeAtomically(path: string, text: string, mode: number): void {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, text, { mode, flush: true });
    chmodSync(temporary, mode);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

export function copyAtomically(from: string, to: string): void {
  const temporary = temporaryName(to);
  try {
    copyFileSync(from, temporary);
    chmodSync(temporary, 0o755);
    syncFile(temporary);
    renameSync(temporary, to);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Returns when the file is on the disk. */
export function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What a copy that was interrupted left beside `name`. */
export function removeTemporaries(directory: string, name: string): void {
  for (const file of readdirSync(directory))
    if (file.startsWith(`${name}.tmp.`)) rmSync(join(directory, file), { force: true });
}

/** Configuration files of a folder, in no order; ones that cannot be read, or are far too large, are left out. */
export function readConfigs(directory: string): readonly ConfigFile[] {
  return readdirSync(directory)
    .filter((name) => /\.conf(list)?$/.test(name))
    .flatMap((name) => {
      const text = readText(join(directory, name));
      return text === undefined ? [] : [{ name, text }];
    });
}

export function readText(path: string): string | undefined {
  try {
    return statSync(path).size > CNI_CONFIG_MAX_BYTES ? undefined : readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export function modeOf(path: string, fallback: number): number {
  try {
    return statSync(path).mode & 0o777;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return fallback;
    throw error;
  }
}

/** Changes whenever a file is written, replaced or gone. */
export function fingerprintOf(path: string): string {
  try {
    const { dev, ino, size, mtimeMs } = statSync(path);
    return `${dev}:${ino}:${size}:${mtimeMs}`;
  } catch {
    return 'absent';
  }
}

function temporaryName(path: string): string {
  return `${path}.tmp.${randomUUID()}`;
}
