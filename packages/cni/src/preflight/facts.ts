/**
 * What a node is like, found out from inside a pod on it: what `ambit preflight` is told by each of its pods.
 *
 * Only looking: rules are tried in the pod's own network namespace and never committed, files of the node are read. Of
 * network configurations no more than names and types of plugins is told, since they may hold credentials.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { listOf, parseJson, recordOf, textOf } from '../json.ts';
import { CNI_CONFIG_MAX_BYTES, PREFLIGHT_MAX_CONFIGS } from '../limits.ts';
import type { RunCommand } from '../rules/command.ts';
import { detectBackend } from '../rules/detect.ts';

/** The answer's fields are an interface: the command may be of another version. */
export interface NodeFacts {
  readonly node: string;
  /** Since 1970, by the node's clock, when the answer was made. */
  readonly atMs: number;
  readonly kernel: string;
  /** Empty: works. Else what it said. */
  readonly nftables: string;
  readonly iptables: string;
  readonly cniFolderProblem: string;
  /** Configurations in the order in which runtimes look at them. */
  readonly cniConfigs: readonly CniConfig[];
  /** Where this pod's probe came from last; empty before the first. */
  readonly probeSource: string;
  /** `enforcing`, `permissive`, or empty without SELinux. */
  readonly selinux: string;
  /** The AppArmor profile of this pod; empty without AppArmor. */
  readonly apparmor: string;
}

export interface CniConfig {
  readonly file: string;
  readonly types: readonly string[];
}

export interface FactsOptions {
  readonly node: string;
  readonly cniFolder: string;
  /** `/proc` and `/sys`, as seen from here. */
  readonly procFolder: string;
  readonly sysFolder: string;
  readonly run: RunCommand;
  readonly clock: Clock;
}

export async function gatherFacts(options: FactsOptions, probeSource: string): Promise<NodeFacts> {
  const { node, cniFolder, run, clock, procFolder, sysFolder } = options;
  const nftables = await problemOf(() => detectBackend(run, clock, { wanted: 'nftables', ipv6: true }));
  const iptables = await problemOf(() => detectBackend(run, clock, { wanted: 'iptables', ipv6: true }));
  return {
    node,
    kernel: release(),
    nftables,
    iptables,
    ...cniConfigs(cniFolder),
    probeSource,
    selinux: { '1': 'enforcing', '0': 'permissive' }[readText(join(sysFolder, 'fs/selinux/enforce'))] ?? '',
    apparmor: readText(join(procFolder, 'self/attr/apparmor/current')),
    atMs: clock.now(),
  };
}

async function problemOf(attempt: () => Promise<unknown>): Promise<string> {
  try {
    await attempt();
    return '';
  } catch (error) {
    return messageOf(error);
  }
}

export function cniConfigs(folder: string): Pick<NodeFacts, 'cniConfigs' | 'cniFolderProblem'> {
  try {
    const names = readdirSync(folder)
      .filter((name) => /\.conf(list)?$/.test(name))
      .sort();
    const read = names.slice(0, PREFLIGHT_MAX_CONFIGS).map((name) => ({
      file: name,
      types: typesIn(join(folder, name)),
    }));
    return { cniConfigs: read, cniFolderProblem: '' };
  } catch (error) {
    return { cniConfigs: [], cniFolderProblem: messageOf(error) };
  }
}

/** Empty for a file that runtimes would not use. */
function typesIn(path: string): readonly string[] {
  try {
    if (statSync(path).size > CNI_CONFIG_MAX_BYTES) return [];
    const config = recordOf(parseJson(readFileSync(path, 'utf8'))) ?? {};
    const plugins = path.endsWith('.conflist') ? listOf(config['plugins']) : [config];
    return plugins.flatMap((plugin) => textOf(recordOf(plugin)?.['type']) ?? []);
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').replaceAll('\u0000', '').trim();
  } catch {
    return '';
  }
}
