/**
 * The root folder of an image, filled file by file: nothing is in it that was not asked for.
 *
 * A program brings the libraries it names, from the same packages, and the copyright files and dpkg's record of every
 * package that gave a file, so that scanners know what they look at.
 */
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, matchesGlob, resolve } from 'node:path';
import { MeshError } from '@ambit/core/errors';
import { type DebianFiles, merged } from './debian.ts';
import { elfNeeds } from './elf.ts';

/** An image asks for a file that no declared package has. */
export class ImageRootError extends MeshError {
  readonly code = 'IMAGE_ROOT';
  readonly side = 'internal';
}

const ACCOUNTS = {
  passwd: [
    'root:x:0:0:root:/root:/sbin/nologin',
    'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin',
    'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin',
  ],
  group: ['root:x:0:', 'nonroot:x:65532:', 'nogroup:x:65534:'],
};

export class ImageRoot {
  readonly folder: string;
  readonly #debian: DebianFiles;
  /** This layer's folder and those below it. */
  readonly #layers: readonly string[];
  readonly #packages = new Set<string>();

  /** @param inherited - The layer below: what it has is not copied again. */
  constructor(folder: string, debian: DebianFiles, inherited?: ImageRoot) {
    this.folder = folder;
    this.#debian = debian;
    this.#layers = inherited ? [folder, ...inherited.#layers] : [folder];
    mkdirSync(folder, { recursive: true });
  }

  /** The folders and files that every Linux program may expect. */
  addSystem(): void {
    for (const name of [
      'dev',
      'etc',
      'proc',
      'run',
      'sys',
      'usr/bin',
      'usr/lib',
      'usr/lib64',
      'usr/sbin',
      'var/lib',
    ])
      mkdirSync(join(this.folder, name), { recursive: true });
    for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(this.folder, name));
    symlinkSync('/run', join(this.folder, 'var/run'));
    for (const name of ['tmp', 'var/tmp']) mkdirSync(join(this.folder, name));
    for (const name of ['tmp', 'var/tmp']) chmodSync(join(this.folder, name), 0o1777);
    mkdirSync(join(this.folder, 'root'), { mode: 0o700 });
    for (const [name, lines] of Object.entries(ACCOUNTS)) this.write(`/etc/${name}`, `${lines.join('\n')}\n`);
    this.write('/etc/nsswitch.conf', 'hosts: files dns\n');
    this.write('/etc/ssl/certs/ca-certificates.crt', this.#certificates());
  }

  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), text, { mode });
  }

  /** A program that is not of a package, such as Node. */
  addProgram(source: string, path: string): void {
    this.#place(source, path, 0o755);
  }

  link(path: string, target: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    symlinkSync(target, join(this.folder, path));
  }

  /** In place of what a package has there. */
  replaceByLink(path: string, target: string): void {
    rmSync(join(this.folder, path), { force: true });
    this.link(path, target);
  }

  /** @param patterns - Paths in packages, where `*` stands for part of a name. */
  addFromPackages(patterns: readonly string[]): void {
    for (const pattern of patterns) {
      const paths = [...this.#debian.files.keys()].filter((path) => matchesGlob(path, pattern)).sort();
      if (paths.length === 0) throw new ImageRootError(`no package has ${pattern}`);
      for (const path of paths) this.#add(path);
    }
  }

  /** What the layer holds of each package: its licence, and what dpkg would say. */
  addRecords(): void {
    for (const name of [...this.#packages]) {
      const control = this.#debian.controls.get(name);
      if (control === undefined) continue;
      this.write(`/var/lib/dpkg/status.d/${name}`, control);
      this.#addCopyright(name);
    }
  }

  /** A package made from the same source as another may have a link to the other's folder. */
  #addCopyright(name: string): void {
    const folder = `/usr/share/doc/${name}`;
    const shared = this.#debian.files.get(folder);
    if (!shared) {
      this.#add(`${folder}/copyright`);
      return;
    }
    if (this.#has(folder)) return;
    const target = readlinkSync(shared.source);
    this.link(folder, target);
    this.#add(`${resolve(dirname(folder), target)}/copyright`);
  }

  #has(path: string): boolean {
    return this.#layers.some(
      (layer) => lstatSync(join(layer, path), { throwIfNoEntry: false }) !== undefined,
    );
  }

  #add(path: string): void {
    if (this.#has(path)) return;
    const file = this.#debian.files.get(path);
    if (!file) throw new ImageRootError(`no package has ${path}`);
    this.#packages.add(file.package);
    const status = lstatSync(file.source);
    if (!status.isSymbolicLink()) {
      this.#place(file.source, path, status.mode & 0o777);
      return;
    }
    const target = readlinkSync(file.source);
    // A link between folders that are one in an image says nothing there.
    const pointsAt = merged(isAbsolute(target) ? target : resolve(dirname(path), target));
    if (pointsAt === path) throw new ImageRootError(`${path} links to itself`);
    this.link(path, target);
    this.#add(pointsAt);
  }

  #place(source: string, path: string, mode: number): void {
    const target = join(this.folder, path);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(source, target);
    chmodSync(target, mode);
    const needs = elfNeeds(readFileSync(source));
    if (!needs) return;
    if (needs.interpreter !== undefined) this.#add(merged(needs.interpreter));
    for (const library of needs.libraries) this.#addLibrary(library, path);
  }

  /** A library lies in the folder of its architecture; a loader is named as a library, too. */
  #addLibrary(name: string, askedBy: string): void {
    const paths = [...this.#debian.files.keys()].filter((path) => basename(path) === name);
    const path = paths.find((one) => matchesGlob(one, `/usr/lib/*-linux-gnu/${name}`)) ?? paths[0];
    if (path === undefined)
      throw new ImageRootError(`${askedBy} needs ${name}, which no declared package has`);
    this.#add(path);
  }

  #certificates(): string {
    const authorities = [...this.#debian.files]
      .filter(([path]) => matchesGlob(path, '/usr/share/ca-certificates/mozilla/*.crt'))
      .sort(([left], [right]) => (left < right ? -1 : 1));
    if (authorities.length === 0) throw new ImageRootError('no package has CA certificates');
    this.#packages.add('ca-certificates');
    return authorities.map(([, { source }]) => readFileSync(source, 'utf8')).join('');
  }
}
