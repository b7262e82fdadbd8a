/**
 * Files out of Debian packages, without installing anything.
 *
 * A package and what it depends on is downloaded by apt, which checks its signature chain, and unpacked into a folder of
 * its own, kept between runs. `/bin`, `/sbin`, `/lib` and `/lib64` count as the folders of that name below `/usr`, as on a
 * system of today.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export interface DebianFile {
  readonly package: string;
  /** Where it lies on this machine. */
  readonly source: string;
}

export interface DebianFiles {
  /** By path in an image: `/usr/sbin/nft`. Links are files of their own. */
  readonly files: ReadonlyMap<string, DebianFile>;
  /** By package: what dpkg knows of it. */
  readonly controls: ReadonlyMap<string, string>;
}

/** What packages depend on only to be installed. */
const FOR_INSTALLING =
  /^(c?debconf|dpkg|tar|install-info|libdebian-installer4|libnewt.*|libslang2|libtextwrap1)$/;
const APT = ['-q=2', '-o', 'APT::Sandbox::User=root'];

/** `packages` and everything they depend on. */
export function debianFiles(packages: readonly string[], cache: string): DebianFiles {
  const archives = join(cache, 'archives');
  const unpacked = join(cache, 'unpacked');
  for (const folder of [archives, unpacked]) mkdirSync(folder, { recursive: true });
  const names = closureOf(packages);
  execFileSync('apt-get', [...APT, 'download', ...names], {
    cwd: archives,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const files = new Map<string, DebianFile>();
  const controls = new Map<string, string>();
  for (const file of archiveNames(names, archives)) {
    const archive = join(archives, file);
    const control = execFileSync('dpkg-deb', ['--field', archive], { encoding: 'utf8' });
    const name = /^Package: (.*)$/m.exec(control)?.[1] ?? file;
    controls.set(name, control);
    for (const path of filesBelow(unpack(archive, join(unpacked, file))))
      files.set(merged(path.relative), { package: name, source: path.absolute });
  }
  return { files, controls };
}

function closureOf(packages: readonly string[]): readonly string[] {
  const left = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'];
  const args = ['depends', '--recurse', ...left.map((kind) => `--no-${kind}`), ...packages];
  const lines = execFileSync('apt-cache', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).split('\n');
  // A line that begins with a space is a dependency, one in brackets a virtual package: each is listed by its name, too.
  const names = lines.filter((line) => /^[a-z0-9]/.test(line));
  return [...new Set(names)].filter((name) => !FOR_INSTALLING.test(name)).sort();
}

function archiveNames(names: readonly string[], archives: string): readonly string[] {
  const uris = execFileSync('apt-get', [...APT, 'download', '--print-uris', ...names], {
    cwd: join(archives, '..'),
    encoding: 'utf8',
  });
  return [...uris.matchAll(/^'[^']*' (\S+) /gm)].map((match) => match[1] ?? '').sort();
}

/** Complete or not at all: written beside, then renamed. */
function unpack(archive: string, folder: string): string {
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.${process.pid}`;
  execFileSync('dpkg-deb', ['--extract', archive, temporary]);
  try {
    renameSync(temporary, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

function filesBelow(folder: string): readonly { readonly relative: string; readonly absolute: string }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => ({ relative: `/${name}`, absolute: join(folder, name) }))
    .filter(({ absolute }) => !lstatSync(absolute).isDirectory());
}

/** @param path - From the top of a package. */
export function merged(path: string): string {
  return path.replace(/^\/(bin|sbin|lib|lib64|lib32|libx32)\//, '/usr/$1/');
}
