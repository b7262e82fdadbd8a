/**
 * The root file system of a container: the machine's programs, and everything else of the pod's own.
 *
 * There are no images in the lab. Top-level folders of the machine are bound in as they are; `/etc`, `/run`, `/var`, `/tmp`
 * and whatever volumes need belong to the pod. A small shell script binds them and makes the result the root: it runs
 * in a mount namespace of its own, so that nothing of it shows outside and all of it goes with the process.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MeshError } from '@ambit/core/errors';
import { hasMounts } from '@ambit/linux/mounts';

/** A volume cannot be mounted where the pod wants it. */
export class MountError extends MeshError {
  readonly code = 'MOUNT';
  readonly side = 'internal';
}

export interface Mount {
  readonly from: string;
  /** Absolute, inside the container. */
  readonly to: string;
}

/** The pod's own, or nothing that a container needs. */
const OWN: ReadonlySet<string> = new Set(['etc', 'run', 'var', 'tmp', 'lost+found', 'boot', 'host']);
/** What pods of the lab run comes from this repository, wherever it was cloned to: also below a folder of the pod's own. */
const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url)).replace(/\/$/, '');
const HOST_ETC = '.host-etc';
const OLD_ROOT = '.old-root';

export interface PodRootOptions {
  /** An empty folder, or one that an earlier start of this container has made. */
  readonly folder: string;
  readonly resolvConf: string;
  readonly hosts: string;
  readonly hostname: string;
  readonly mounts: readonly Mount[];
}

/** Lays out `folder` and returns what has to be mounted in it, in order. */
export function layOutRoot({
  folder,
  resolvConf,
  hosts,
  hostname,
  mounts,
}: PodRootOptions): readonly Mount[] {
  // The machine's folders are mounted in the container's mount namespace alone. Should one ever show up here, emptying
  // the folder would empty the machine.
  if (hasMounts(folder)) throw new MountError(`${folder} has mounts outside the container`);
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['etc', 'run', 'var', 'tmp', HOST_ETC, OLD_ROOT])
    mkdirSync(join(folder, name), { recursive: true });
  symlinkSync('../run', join(folder, 'var', 'run'));
  mkdirSync(join(folder, 'var', 'tmp'));
  const own = { 'resolv.conf': resolvConf, hosts, hostname: `${hostname}\n` };
  for (const name of readdirSync('/etc')) {
    if (!(name in own)) symlinkSync(`/${HOST_ETC}/${name}`, join(folder, 'etc', name));
  }
  for (const [name, text] of Object.entries(own)) writeFileSync(join(folder, 'etc', name), text);
  const machine = machineMounts(folder);
  const sorted = [...mounts, ...repositoryMount(REPOSITORY)].toSorted((a, b) => (a.to < b.to ? -1 : 1));
  for (const mount of sorted) makeMountPoint(folder, mount);
  return [{ from: '/etc', to: `/${HOST_ETC}` }, ...machine, ...sorted];
}

/**
 * The command that enters the root and becomes `command`. Arguments are passed as such, never as script text. Descriptor 3
 * is closed just before, to tell that the root is ready.
 */
export function enterRootCommand(
  folder: string,
  mounts: readonly Mount[],
  workingFolder: string,
  command: readonly string[],
): readonly string[] {
  const binds = mounts.map(({ from, to }) => {
    const target = quote(join(folder, inside(to)));
    // A volume that is mounted above hides the mount point that was laid out.
    return `[ -e ${target} ] || mkdir -p ${target}\nmount --rbind ${quote(from)} ${target}`;
  });
  const script = [
    'set -e',
    `mount --rbind ${quote(folder)} ${quote(folder)}`,
    ...binds,
    `cd ${quote(folder)}`,
    `pivot_root . ${OLD_ROOT}`,
    `umount -l /${OLD_ROOT}`,
    `cd ${quote(workingFolder)}`,
    'exec 3>&-',
    'exec "$@"',
  ].join('\n');
  return ['unshare', '--mount', '--propagation', 'slave', '/bin/sh', '-c', script, 'container', ...command];
}

/** Nothing where the repository shows already with the machine's folders. Exported for the test. */
export function repositoryMount(repository: string): readonly Mount[] {
  const [, top = ''] = repository.split('/');
  return OWN.has(top) ? [{ from: repository, to: repository }] : [];
}

/** Folders of the machine's root become mounts, symbolic links are copied. */
function machineMounts(folder: string): readonly Mount[] {
  const mounts: Mount[] = [];
  for (const name of readdirSync('/')) {
    if (OWN.has(name) || name.startsWith('.')) continue;
    const stats = lstatSync(join('/', name));
    const target = join(folder, name);
    if (stats.isSymbolicLink()) symlinkSync(readlinkSync(join('/', name)), target);
    else if (stats.isDirectory()) {
      mkdirSync(target);
      mounts.push({ from: `/${name}`, to: `/${name}` });
    }
  }
  return mounts;
}

function makeMountPoint(folder: string, { from, to }: Mount): void {
  const target = join(folder, inside(to));
  const [, top = ''] = inside(to).split('/');
  if (existsSync(join('/', top)) && !OWN.has(top)) {
    if (existsSync(inside(to))) return;
    throw new MountError(
      `nothing can be mounted at ${to}: /${top} is the machine's own, and it has no such path`,
    );
  }
  // What stands for the machine's file of that name gives way to the volume.
  removeLinks(folder, inside(to));
  if (existsSync(from) && !lstatSync(from).isDirectory()) {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, '');
  } else mkdirSync(target, { recursive: true });
}

function removeLinks(folder: string, to: string): void {
  let at = folder;
  for (const part of to.split('/').filter((one) => one !== '')) {
    at = join(at, part);
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(at);
  }
}

/** `/var/run` is `/run`, also before the root is entered. */
function inside(to: string): string {
  return to.replace(/^\/var\/run(?=\/|$)/, '/run');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
