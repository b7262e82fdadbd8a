/**
 * Which cgroup hierarchies this machine has, and where a cluster's groups go in each. Pure.
 *
 * Groups are made below the hierarchy's root as it is seen here, so that no other's limits apply to them and none of its
 * processes stand in their way. Version 1, version 2 and a machine with both are the same list with other entries.
 */
import { join } from 'node:path';

export interface Hierarchy {
  readonly version: 1 | 2;
  /** As mount wants them: `cpu,cpuacct`, `name=systemd`; empty for version 2. */
  readonly controllers: string;
  readonly mountPoint: string;
}

/** @param mountInfo - The text of /proc/self/mountinfo. */
export function hierarchiesIn(mountInfo: string): readonly Hierarchy[] {
  const found = new Map<string, Hierarchy>();
  for (const line of mountInfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const mountPoint = before.split(' ')[4]?.replaceAll('\\040', ' ');
    const [type, , options = ''] = after.split(' ');
    if (mountPoint === undefined || (type !== 'cgroup' && type !== 'cgroup2')) continue;
    const controllers = type === 'cgroup2' ? '' : options.split(',').filter(isController).join(',');
    const version = type === 'cgroup2' ? 2 : 1;
    // The same hierarchy may be mounted twice; the first is the one that the system uses.
    if (!found.has(controllers)) found.set(controllers, { version, controllers, mountPoint });
  }
  return [...found.values()];
}

function isController(option: string): boolean {
  return !/^(rw|ro|xattr|clone_children|cpuset_v2_mode|noprefix|all|none|release_agent=.*)$/.test(option);
}

/** Whether controllers are those of version 2, so that groups must hand them on. */
export function isPureV2(hierarchies: readonly Hierarchy[]): boolean {
  return hierarchies.every(({ version }) => version === 2);
}

/** The folder in which a hierarchy's entry appears below /sys/fs/cgroup, as systemd and runtimes expect it. */
export function mountName({ version, controllers }: Hierarchy): string {
  return version === 2 ? 'unified' : controllers.replace(/^name=/, '');
}

export function clusterGroup(hierarchy: Hierarchy, cluster: string): string {
  return join(hierarchy.mountPoint, `ambit-${cluster}`);
}
