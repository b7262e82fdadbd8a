/**
 * The root of a node as the commands that make it, for a shell that stops at the first failure. Pure.
 *
 * It is an overlay over the machine's own root, with what a node must have for itself mounted above: processes, devices,
 * control groups, /run, and folders on a real file system for what overlays cannot hold. Nothing is copied.
 */
import { type Hierarchy, isPureV2, mountName } from './render-cgroups.ts';

export interface NodeRoot {
  readonly hostName: string;
  /** An empty folder, where the new root is put together. */
  readonly root: string;
  /** On a file system that an overlay may write to. */
  readonly upper: string;
  readonly work: string;
  /** Folders of this machine, by where they appear in the node. */
  readonly binds: Readonly<Record<string, string>>;
  readonly hierarchies: readonly Hierarchy[];
}

/**
 * What kubelet would set for the whole machine, were it not so already. It reads these files and is content.
 */
const KERNEL_SETTINGS: Readonly<Record<string, number>> = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

/** What the machine's own folders hold must not show: a node starts with none of it. */
const EMPTY_FOLDERS = [
  '/etc/cni/net.d',
  '/etc/containerd',
  '/etc/kubernetes',
  '/opt/cni/bin',
  '/var/lib/cni',
  '/var/log/containers',
  '/var/log/pods',
];
const SETTINGS_FOLDER = '/run/ambit-node/sysctl';

export function rootCommands(node: NodeRoot): readonly string[] {
  const { root } = node;
  const at = (path: string) => quote(root + path);
  return [
    `hostname ${quote(node.hostName)}`,
    `mount -t overlay overlay -o ${quote(`lowerdir=/,upperdir=${node.upper},workdir=${node.work},volatile`)} ${quote(root)}`,
    `mount -t proc proc ${at('/proc')}`,
    `mount -t sysfs sysfs ${at('/sys')}`,
    ...cgroupCommands(node),
    `test ! -d ${at('/sys/fs/bpf')} || mount -t bpf bpf ${at('/sys/fs/bpf')}`,
    `mount -t devtmpfs devtmpfs ${at('/dev')}`,
    `mkdir -p ${at('/dev/pts')} ${at('/dev/shm')} ${at('/dev/mqueue')}`,
    `mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts ${at('/dev/pts')}`,
    `mount -t tmpfs tmpfs ${at('/dev/shm')}`,
    `mount -t mqueue mqueue ${at('/dev/mqueue')}`,
    `mount -t tmpfs -o mode=755 tmpfs ${at('/run')}`,
    `mkdir -p ${at('/run/netns')} ${at('/run/lock')} ${at(SETTINGS_FOLDER)}`,
    `mount -t tmpfs -o mode=1777 tmpfs ${at('/tmp')}`,
    ...Object.entries(KERNEL_SETTINGS).flatMap(([name, value]) => {
      const file = at(`${SETTINGS_FOLDER}/${name.replaceAll('/', '.')}`);
      const setting = at(`/proc/sys/${name}`);
      return [`echo ${value} >${file}`, `test ! -e ${setting} || mount --bind ${file} ${setting}`];
    }),
    ...EMPTY_FOLDERS.flatMap((folder) => [`rm -rf ${at(folder)}`, `mkdir -p ${at(folder)}`]),
    ...Object.entries(node.binds).flatMap(([inside, source]) => [
      `mkdir -p ${at(inside)}`,
      `mount --bind ${quote(source)} ${at(inside)}`,
    ]),
    `mkdir -p ${at('/run/ambit-node/old-root')}`,
    `cd ${quote(root)}`,
    'pivot_root . run/ambit-node/old-root',
    'umount -l /run/ambit-node/old-root',
    // As systemd has it on a real node, so that pods' mounts can travel both ways.
    'mount --make-rshared /',
  ];
}

function cgroupCommands({ root, hierarchies }: NodeRoot): readonly string[] {
  const top = `${root}/sys/fs/cgroup`;
  if (isPureV2(hierarchies)) return [`mount -t cgroup2 cgroup2 ${quote(top)}`];
  return [
    `mount -t tmpfs -o mode=755 tmpfs ${quote(top)}`,
    ...hierarchies.flatMap((hierarchy) => {
      const folder = `${top}/${mountName(hierarchy)}`;
      const type =
        hierarchy.version === 2
          ? '-t cgroup2 cgroup2'
          : `-t cgroup -o ${quote(hierarchy.controllers)} cgroup`;
      return [`mkdir ${quote(folder)}`, `mount ${type} ${quote(folder)}`];
    }),
  ];
}

/** For a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
