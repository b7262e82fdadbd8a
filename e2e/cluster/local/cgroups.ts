/** Makes and removes the cgroups of a cluster. What it hands on at the root of version 2 it takes back at the end. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '@ambit/core/errors';
import { ProviderError } from '../errors.ts';
import { clusterGroup, hierarchiesIn, type Hierarchy, isPureV2 } from './render-cgroups.ts';

/** What kubelet asks for, where the machine has it. */
const V2_CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'];
/** Below a node's group in version 2, whose own processes may not stand beside groups with controllers. */
const PROCESSES = 'processes';
/** Where processes of a container's own root group are moved while a cluster runs in that container. */
const MOVED = 'ambit-moved';
const REMOVE_ATTEMPTS = 50;

export interface NodeGroups {
  /** Files that a process writes its id to before its cgroup namespace is made. */
  readonly root: readonly string[];
  /** The same for processes that join later. */
  readonly join: readonly string[];
}

export class Cgroups {
  readonly hierarchies: readonly Hierarchy[] = hierarchiesIn(readFileSync('/proc/self/mountinfo', 'utf8'));
  readonly pureV2 = isPureV2(this.hierarchies);
  readonly #cluster: string;

  constructor(cluster: string) {
    if (this.hierarchies.length === 0) throw new ProviderError('no cgroups are mounted at /sys/fs/cgroup');
    this.#cluster = cluster;
  }

  /** @returns controllers handed on at the root that were not before; {@link restoreRoot} wants them. */
  prepare(): readonly string[] {
    const handedOn = this.pureV2 ? this.#handOnAtRoot() : [];
    for (const hierarchy of this.hierarchies) {
      const group = clusterGroup(hierarchy, this.#cluster);
      makeGroup(hierarchy, group);
      if (this.pureV2) handOn(group, controllersOf(group));
    }
    return handedOn;
  }

  /** A group of its own for a node, or for the control plane, in every hierarchy. */
  make(name: string): NodeGroups {
    const groups = this.hierarchies.map((hierarchy) => {
      const group = join(clusterGroup(hierarchy, this.#cluster), name);
      makeGroup(hierarchy, group);
      return group;
    });
    const root = groups.map((group) => join(group, 'cgroup.procs'));
    return { root, join: this.pureV2 ? groups.map((group) => join(group, PROCESSES, 'cgroup.procs')) : root };
  }

  /** Once the namespace is made: version 2 lets only groups without processes of their own hand controllers on. */
  finish(name: string): void {
    if (!this.pureV2) return;
    for (const hierarchy of this.hierarchies) {
      const group = join(clusterGroup(hierarchy, this.#cluster), name);
      mkdirSync(join(group, PROCESSES), { recursive: true });
      moveProcesses(group, join(group, PROCESSES));
      handOn(group, controllersOf(group));
    }
  }

  /** The groups of one node; everything in them has ended. */
  async removeGroup(name: string): Promise<void> {
    for (const hierarchy of this.hierarchies)
      await removeTree(join(clusterGroup(hierarchy, this.#cluster), name));
  }

  async remove(): Promise<void> {
    for (const hierarchy of this.hierarchies) await removeTree(clusterGroup(hierarchy, this.#cluster));
  }

  /** No cluster is left: takes back what {@link prepare} of any of them handed on. */
  async restoreRoot(handedOn: readonly string[]): Promise<void> {
    const [root] = this.hierarchies;
    if (!root || !this.pureV2) return;
    for (const controller of handedOn)
      writeQuietly(join(root.mountPoint, 'cgroup.subtree_control'), `-${controller}`);
    const moved = join(root.mountPoint, MOVED);
    if (!existsSync(moved)) return;
    moveProcesses(moved, root.mountPoint);
    await removeTree(moved);
  }

  #handOnAtRoot(): readonly string[] {
    const [root] = this.hierarchies;
    if (!root) return [];
    const file = join(root.mountPoint, 'cgroup.subtree_control');
    const before = wordsIn(file);
    const wanted = controllersOf(root.mountPoint).filter((controller) => !before.includes(controller));
    if (wanted.length === 0) return [];
    try {
      handOn(root.mountPoint, wanted);
    } catch {
      // The root of a container's own namespace may hold no processes, unlike the machine's.
      const moved = join(root.mountPoint, MOVED);
      mkdirSync(moved, { recursive: true });
      moveProcesses(root.mountPoint, moved);
      handOn(root.mountPoint, wanted);
    }
    return wanted;
  }
}

function makeGroup(hierarchy: Hierarchy, group: string): void {
  mkdirSync(group, { recursive: true });
  if (!hierarchy.controllers.split(',').includes('cpuset')) return;
  for (const name of ['cpuset.cpus', 'cpuset.mems'])
    writeFileSync(join(group, name), readFileSync(join(dirname(group), name)));
}

function controllersOf(group: string): readonly string[] {
  const there = wordsIn(join(group, 'cgroup.controllers'));
  return V2_CONTROLLERS.filter((controller) => there.includes(controller));
}

function handOn(group: string, controllers: readonly string[]): void {
  try {
    for (const controller of controllers)
      writeFileSync(join(group, 'cgroup.subtree_control'), `+${controller}`);
  } catch (error) {
    throw new ProviderError(`${group} cannot hand its controllers on (${messageOf(error)})`, {
      cause: error,
    });
  }
}

function moveProcesses(from: string, to: string): void {
  // What is started meanwhile is found in the next round; what ended, and what the kernel keeps, stays.
  for (let round = 0; round < 5; round++) {
    const pids = wordsIn(join(from, 'cgroup.procs'));
    if (pids.length === 0) return;
    for (const pid of pids) writeQuietly(join(to, 'cgroup.procs'), pid);
  }
}

function wordsIn(file: string): readonly string[] {
  return readFileSync(file, 'utf8')
    .split(/\s+/)
    .filter((word) => word !== '');
}

function writeQuietly(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch {
    // The process has ended, or another group still uses the controller: nothing to do about either.
  }
}

/** Bottom up. The last processes of a group may take a moment to be gone. */
async function removeTree(group: string): Promise<void> {
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS && existsSync(group); attempt++) {
    removeOnce(group);
    if (existsSync(group)) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (existsSync(group))
    throw new ProviderError(`the cgroup ${group} does not go away; its processes: ${pidsBelow(group)}`);
}

function removeOnce(group: string): void {
  try {
    for (const entry of readdirSync(group, { withFileTypes: true }))
      if (entry.isDirectory()) removeOnce(join(group, entry.name));
    rmdirSync(group);
  } catch {
    // Busy: tried again. Gone: that was wanted.
  }
}

function pidsBelow(group: string): string {
  const files = readdirSync(group, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('cgroup.procs'),
  );
  return files.flatMap((name) => wordsIn(join(group, name))).join(' ') || 'none';
}
