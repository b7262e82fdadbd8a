/**
 * A cluster's processes, found by a mark in their environment.
 *
 * There is no list of process ids that a crash could leave incomplete: whatever `up` started carries the cluster's name,
 * and what those start in turn ends with their namespaces.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { until } from '../command.ts';

const CLUSTER_VARIABLE = 'AMBIT_LOCAL_CLUSTER';
const ROLE_VARIABLE = 'AMBIT_LOCAL_ROLE';
const END_TIMEOUT_MS = 20_000;

export interface MarkedProcess {
  readonly pid: number;
  readonly cluster: string;
  /** What it is for: `machine:node1`, `kube-apiserver`. */
  readonly role: string;
  readonly command: readonly string[];
  /** It is the first process of a pid namespace of its own. */
  readonly isInit: boolean;
}

/** The environment of a process with a mark; nothing else of the caller's. */
export function markedEnvironment(cluster: string, role: string): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    [CLUSTER_VARIABLE]: cluster,
    [ROLE_VARIABLE]: role,
  };
}

export function markedProcesses(cluster: string): readonly MarkedProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => marked(Number(name)))
    .filter((process) => process !== undefined)
    .filter((process) => process.cluster === cluster);
}

function marked(pid: number): MarkedProcess | undefined {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    const value = (variable: string) =>
      environment.find((one) => one.startsWith(`${variable}=`))?.slice(variable.length + 1);
    const cluster = value(CLUSTER_VARIABLE);
    if (cluster === undefined) return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').slice(0, -1);
    const ids =
      /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]?.split(/\s+/) ?? [];
    const isInit = ids.length > 1 && ids.at(-1) === '1';
    return { pid, cluster, role: value(ROLE_VARIABLE) ?? '', command, isInit };
  } catch {
    // It has ended, or is of a kind that has no environment.
    return undefined;
  }
}

/** Ends all that `which` picks, at once, and waits until they are gone. */
export async function endProcesses(
  cluster: string,
  which: (process: MarkedProcess) => boolean,
): Promise<void> {
  const remaining = () => markedProcesses(cluster).filter(which);
  // A first process takes its whole namespace with it; what only waits for it comes after.
  const kill = () => {
    for (const { pid } of remaining().toSorted((left, right) => Number(right.isInit) - Number(left.isInit))) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
  };
  await until(
    () => {
      kill();
      return remaining().length === 0;
    },
    `the processes of cluster ${cluster} end`,
    { timeoutMs: END_TIMEOUT_MS, everyMs: 50 },
  );
}

/** Which namespace of a kind a process is in, as text that is equal for equal ones. */
export function namespaceOf(pid: number, kind: string): string {
  return readlinkSync(`/proc/${pid}/ns/${kind}`);
}
