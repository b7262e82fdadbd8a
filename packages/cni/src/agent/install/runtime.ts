/**
 * The Node that runs the plugin on a node: this agent's own, copied beside the plugin with its loader and its libraries,
 * since a node need not have any of them (Talos and Alpine have another libc, Bottlerocket and Flatcar few libraries).
 *
 * One folder for each Node, named by what is in it and complete or absent, so that an upgrade never changes files that a
 * runtime may be executing. One that is not complete, as after a loss of power or somebody's tidying, is made anew: without
 * it no pod of the node starts, in the mesh or not.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { MeshError } from '@ambit/core/errors';
import { elfNeeds, type ElfNeeds } from './elf.ts';
import { syncFile } from './files.ts';

/** This process's own program and libraries could not be found. */
export class RuntimeFilesError extends MeshError {
  readonly code = 'CNI_RUNTIME_FILES';
  readonly side = 'internal';
}

export interface RuntimeFiles {
  readonly node: string;
  /** By the name that it is asked for. */
  readonly libraries: ReadonlyMap<string, string>;
  readonly loader: string;
  readonly needs: ElfNeeds;
  /** Name of the folder that holds all of this. */
  readonly folderName: string;
}

/** What every such folder is named with, besides what it holds. Short, like all names here: a first line has them twice. */
const FOLDER_PREFIX = '.ambit-';
const LOADER_NAME = 'ld';
const NODE_NAME = 'node';
/** What the kernel reads of a script's first line, before Linux 5.1. */
const FIRST_LINE_MAX_BYTES = 127;

/**
 * Finds what `node` runs with: every library lies where one that this process has loaded lies.
 *
 * @throws {@link RuntimeFilesError}, {@link ElfError}
 */
export function ownRuntimeFiles(
  node = process.execPath,
  maps = readFileSync('/proc/self/maps', 'utf8'),
): RuntimeFiles {
  const needs = withFile(node, 'r', (fd) => elfNeeds((offset, length) => readAt(fd, offset, length)));
  const folders = new Set(
    [...maps.matchAll(/(\/\S*)\/[^/\s]*\.so[.0-9]*$/gm)].map(([, folder = '']) => folder),
  );
  const find = (name: string): string => {
    const path = [...folders].map((folder) => join(folder, name)).find((candidate) => existsSync(candidate));
    if (path === undefined)
      throw new RuntimeFilesError(`${node} needs ${name}, which is in none of ${[...folders].join(', ')}`);
    return path;
  };
  const loader = existsSync(needs.loader) ? needs.loader : find(basename(needs.loader));
  // The loader answers to its own name, whatever its file is called.
  const names = needs.libraries.filter((name) => name !== basename(needs.loader));
  const libraries = new Map(names.map((name) => [name, find(name)]));
  const hash = createHash('sha256').update(`${process.version} ${process.arch} ${statSync(node).size}\n`);
  for (const [name, path] of [[LOADER_NAME, loader] as const, ...libraries])
    hash.update(`${name}\n`).update(readFileSync(path));
  const folderName = `${FOLDER_PREFIX}${hash.digest('hex').slice(0, 8)}`;
  return { node, libraries, loader, needs, folderName };
}

/** @returns whether anything had to be copied. */
export function installRuntime(files: RuntimeFiles, directory: string): boolean {
  const target = join(directory, files.folderName);
  if (isComplete(files, target)) return false;
  const temporary = `${target}.tmp.${process.pid}`;
  try {
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { mode: 0o755 });
    for (const [name, path] of sourcesOf(files)) copyExecutable(path, join(temporary, name));
    withFile(join(temporary, NODE_NAME), 'r+', (fd) => {
      for (const { offset, bytes } of files.needs.edits) writeSync(fd, bytes, 0, bytes.length, offset);
    });
    syncFolder(temporary);
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return true;
}

/** What the folder holds: by name, where it is copied from. */
function sourcesOf({ node, libraries, loader }: RuntimeFiles): ReadonlyMap<string, string> {
  return new Map([...libraries, [LOADER_NAME, loader], [NODE_NAME, node]]);
}

/** By sizes and modes: what was never written out is shorter. Reading a hundred megabytes at every look would cost more. */
function isComplete(files: RuntimeFiles, folder: string): boolean {
  return [...sourcesOf(files)].every(([name, path]) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return found !== undefined && found.size === statSync(path).size && (found.mode & 0o111) === 0o111;
  });
}

/** A folder is renamed only when its files are on the disk. */
function syncFolder(folder: string): void {
  for (const name of readdirSync(folder)) syncFile(join(folder, name));
  syncFile(folder);
}

/** Folders of other Nodes, and what copies that were interrupted left: nothing names them once the plugin names ours. */
export function removeOtherRuntimes(directory: string, kept?: string): void {
  for (const name of readdirSync(directory))
    if (name.startsWith(FOLDER_PREFIX) && name !== kept)
      rmSync(join(directory, name), { recursive: true, force: true });
}

/**
 * The plugin's text with the first line that starts it with that Node.
 *
 * @param hostDirectory - The folder of the plugin as the node sees it.
 * @throws {@link RuntimeFilesError} if the kernel would not read the whole line.
 */
export function startedBy(script: string, files: RuntimeFiles, hostDirectory: string): string {
  const folder = join(hostDirectory, files.folderName);
  const line = `#!${join(folder, LOADER_NAME)} ${join(folder, NODE_NAME)}`;
  if (Buffer.byteLength(line) > FIRST_LINE_MAX_BYTES)
    throw new RuntimeFilesError(`the path ${hostDirectory} is too long for a script's first line`);
  return `${line}${script.slice(script.indexOf('\n'))}`;
}

function copyExecutable(from: string, to: string): void {
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

function withFile<T>(path: string, flags: 'r' | 'r+', use: (fd: number) => T): T {
  const fd = openSync(path, flags);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
}
