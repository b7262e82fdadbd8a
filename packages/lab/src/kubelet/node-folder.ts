/**
 * What a node's disk is in the lab: a folder per node, in which host paths of pods, CNI configuration and pinned network
 * namespaces lie where a real node has them.
 *
 * `/run` of the node is a mount of its own, shared, so that a namespace pinned there later shows up in pods that were
 * started before, as on a node with mount propagation.
 */
import { mkdirSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { run } from '../network/command.ts';

/** Host paths that mean the machine itself: every process is visible below `/proc`. */
const SHARED_WITH_MACHINE: readonly string[] = ['/proc', '/sys', '/dev'];

export class NodeFolder {
  readonly labFolder: string;
  readonly path: string;

  constructor(labFolder: string, nodeName: string) {
    this.labFolder = labFolder;
    this.path = join(labFolder, 'nodes', nodeName);
  }

  get cniConfigFolder(): string {
    return this.hostPath('/etc/cni/net.d');
  }

  get cniBinFolder(): string {
    return this.hostPath('/opt/cni/bin');
  }

  /** Where the path that a pod calls `path` on its node really is. */
  hostPath(path: string): string {
    const plain = normalize(path).replace(/^\/var\/run(?=\/|$)/, '/run');
    const shared = SHARED_WITH_MACHINE.some((top) => plain === top || plain.startsWith(`${top}/`));
    return shared ? plain : join(this.path, 'root', plain);
  }

  podFolder(uid: string): string {
    return join(this.path, 'pods', uid);
  }

  get endedLogsFolder(): string {
    return join(this.path, 'ended-logs');
  }

  async make(): Promise<void> {
    for (const path of [this.cniConfigFolder, this.cniBinFolder, this.hostPath('/run/netns')])
      mkdirSync(path, { recursive: true });
    const runFolder = this.hostPath('/run');
    await run(['mount', '--bind', runFolder, runFolder]);
    await run(['mount', '--make-shared', runFolder]);
  }

  async remove(): Promise<void> {
    await run(['umount', '--lazy', this.hostPath('/run')]);
  }
}
