/**
 * Finds the network namespace of a running pod: by what the plugin reported, by the namespaces that the container runtime
 * has pinned, or by processes whose cgroup names the pod.
 *
 * Every way ends with the same proof: an interface in that namespace carries one of the pod's addresses. Only the runtime can
 * pin a namespace in its folder, so a pod cannot pass its own off as another's; of processes, the oldest wins.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '@ambit/core/errors';
import { interfaceAddresses } from '@ambit/linux/interfaces';
import { type Netns, openNetns } from '@ambit/linux/netns';
import { MAX_NETNS_CANDIDATES } from './limits.ts';

/** No namespace with the pod's addresses was found. */
export class NetnsNotFoundError extends MeshError {
  readonly code = 'NETNS_NOT_FOUND';
  readonly side = 'internal';
  override readonly retryable = true;
}

export interface NetnsFinderOptions {
  /** Where the container runtime pins namespaces: `/var/run/netns`, as seen from here. */
  readonly pinnedFolder: string;
  /** The host's `/proc`, as seen from here. */
  readonly procFolder: string;
}

export interface WantedPod {
  readonly uid: string;
  readonly ips: readonly string[];
  /** Path that the plugin gave, as seen from here. */
  readonly reportedPath: string | undefined;
}

export class NetnsFinder {
  readonly #options: NetnsFinderOptions;

  constructor(options: NetnsFinderOptions) {
    this.#options = options;
  }

  /** @throws {@link NetnsNotFoundError} saying where was looked. The caller closes what it gets. */
  find(pod: WantedPod): Netns {
    let looked = 0;
    for (const path of this.#candidates(pod)) {
      const netns = openIfCarries(path, pod.ips);
      if (netns) return netns;
      looked += 1;
    }
    const { pinnedFolder, procFolder } = this.#options;
    throw new NetnsNotFoundError(
      `no network namespace with ${pod.ips.join(' or ')} for pod ${pod.uid}: looked at ${looked} of ${pinnedFolder} and ${procFolder}`,
    );
  }

  /**
   * As many as can be found in one pass, as reported or pinned, each as soon as it is found. The caller closes them.
   */
  *findMany(pods: readonly WantedPod[]): Generator<{ readonly uid: string; readonly netns: Netns }> {
    const uidOf = new Map<string, string>();
    for (const { uid, ips, reportedPath } of pods) {
      const netns = reportedPath === undefined ? undefined : openIfCarries(reportedPath, ips);
      if (netns) yield { uid, netns };
      else for (const ip of ips) uidOf.set(ip, uid);
    }
    if (uidOf.size === 0) return;
    for (const path of this.#pinned()) {
      const found = openIfCarriesAny(path, uidOf);
      if (found) yield found;
    }
  }

  /** The likeliest first. Each way costs more than the one before, and is gone only if that has led nowhere. */
  *#candidates({ uid, reportedPath }: WantedPod): Generator<string> {
    if (reportedPath !== undefined) yield reportedPath;
    yield* this.#pinned();
    yield* this.#ofProcesses(uid);
  }

  #pinned(): readonly string[] {
    const { pinnedFolder } = this.#options;
    return namesIn(pinnedFolder).map((name) => join(pinnedFolder, name));
  }

  /** Namespaces of processes in the pod's cgroup, the oldest process first. */
  #ofProcesses(uid: string): readonly string[] {
    const { procFolder } = this.#options;
    const found: { path: string; startedAt: number }[] = [];
    for (const name of namesIn(procFolder)) {
      if (!/^[0-9]+$/.test(name)) continue;
      const folder = join(procFolder, name);
      if (!cgroupNames(readText(join(folder, 'cgroup')), uid)) continue;
      found.push({ path: join(folder, 'ns/net'), startedAt: startTime(readText(join(folder, 'stat'))) });
    }
    return found.sort((a, b) => a.startedAt - b.startedAt).map(({ path }) => path);
  }
}

/** Whether a cgroup file names the pod: `pod<uid>` with any punctuation in place of the dashes. */
function cgroupNames(cgroup: string, uid: string): boolean {
  if (uid === '') return false;
  const bare = (text: string) => text.replace(/[^A-Za-z0-9]/g, '-').toLowerCase();
  return bare(cgroup).includes(`pod${bare(uid)}`);
}

/** Field 22 of /proc/PID/stat, in clock ticks since the machine started; late for a process that is gone. */
export function startTime(stat: string): number {
  const value = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  return Number.isFinite(value) && value > 0 ? value : Number.POSITIVE_INFINITY;
}

function openIfCarries(path: string, ips: readonly string[]): Netns | undefined {
  return openIfCarriesAny(path, new Map(ips.map((ip) => [ip, ''])))?.netns;
}

/** @param uidOf - By address. */
function openIfCarriesAny(
  path: string,
  uidOf: ReadonlyMap<string, string>,
): { readonly uid: string; readonly netns: Netns } | undefined {
  let netns: Netns | undefined;
  try {
    netns = openNetns(path);
    for (const { ip } of interfaceAddresses(netns.fd)) {
      const uid = uidOf.get(ip);
      if (uid !== undefined) return { uid, netns };
    }
  } catch {
    // Gone since it was listed, or no namespace: not the one that is looked for.
  }
  netns?.close();
  return undefined;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).slice(0, MAX_NETNS_CANDIDATES);
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
