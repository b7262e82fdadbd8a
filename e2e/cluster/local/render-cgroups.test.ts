import { expect, test } from '@jest/globals';
import { clusterGroup, type Hierarchy, hierarchiesIn, isPureV2, mountName } from './render-cgroups.ts';

const mount = (point: string, rest: string) => `31 23 0:28 / ${point} rw,relatime shared:9 - ${rest}`;
const v1 = (controllers: string, mountPoint: string): Hierarchy => ({ version: 1, controllers, mountPoint });
const v2 = (mountPoint: string): Hierarchy => ({ version: 2, controllers: '', mountPoint });

const machines: Record<string, { mounts: string[]; want: Hierarchy[]; pure: boolean; names: string[] }> = {
  'version 1 alone, with controllers that share a hierarchy': {
    mounts: [
      mount('/sys/fs/cgroup', 'tmpfs tmpfs rw,mode=755'),
      mount('/sys/fs/cgroup/cpu,cpuacct', 'cgroup cgroup rw,cpu,cpuacct'),
      mount('/sys/fs/cgroup/systemd', 'cgroup cgroup rw,xattr,release_agent=/lib/systemd/agent,name=systemd'),
    ],
    want: [v1('cpu,cpuacct', '/sys/fs/cgroup/cpu,cpuacct'), v1('name=systemd', '/sys/fs/cgroup/systemd')],
    pure: false,
    names: ['cpu,cpuacct', 'systemd'],
  },
  'both versions': {
    mounts: [
      mount('/sys/fs/cgroup/memory', 'cgroup cgroup rw,memory'),
      mount('/sys/fs/cgroup/unified', 'cgroup2 cgroup2 rw,nsdelegate'),
    ],
    want: [v1('memory', '/sys/fs/cgroup/memory'), v2('/sys/fs/cgroup/unified')],
    pure: false,
    names: ['memory', 'unified'],
  },
  'version 2 alone': {
    mounts: [mount('/sys/fs/cgroup', 'cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot')],
    want: [v2('/sys/fs/cgroup')],
    pure: true,
    names: ['unified'],
  },
  'a hierarchy mounted twice counts once, where the system has it': {
    mounts: [
      mount('/sys/fs/cgroup/pids', 'cgroup cgroup rw,pids'),
      mount('/mnt/my\\040pids', 'cgroup cgroup rw,pids'),
    ],
    want: [v1('pids', '/sys/fs/cgroup/pids')],
    pure: false,
    names: ['pids'],
  },
};

test.each(Object.entries(machines))('%s', (_, { mounts, want, pure, names }) => {
  const found = hierarchiesIn(mounts.join('\n'));
  expect(found).toEqual(want);
  expect([isPureV2(found), found.map(mountName)]).toEqual([pure, names]);
});

test('a cluster has a group of its own below the root of a hierarchy', () =>
  expect(clusterGroup(v2('/sys/fs/cgroup'), 'mesh')).toBe('/sys/fs/cgroup/ambit-mesh'));
