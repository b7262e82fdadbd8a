/**
 * Machines made of namespaces. The outer one holds the control plane and the network between nodes; each node is another
 * inside it. Their first process does nothing but wait, and reap what is orphaned to it.
 *
 * All pid namespaces hang below the outer machine's: when its first process ends, the kernel ends every process of the
 * cluster, and with them go their mounts, links, routes and rules. There is no list to work off.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { mustRun, runCommand, type RunOptions, startDetached, until } from '../command.ts';
import type { CommandOutput } from '../provider.ts';
import { markedEnvironment, markedProcesses } from './processes.ts';

/** A shell reaps whatever is orphaned to it, and waits for a child the while. */
const WAIT = ['sh', '-c', 'while :; do sleep 86400; done'];
/** Joins the control groups whose files it reads, then becomes the command. */
const JOIN_GROUPS = ['sh', '-c', 'while read -r file; do echo $$ >"$file"; done; exec "$@"', 'join'];
const START_TIMEOUT_MS = 20_000;
export const OUTER = 'outer';

export interface MachineOptions {
  readonly cluster: string;
  /** `outer`, or a node's name. */
  readonly machine: string;
  /** The machine it is made in; absent: this one. */
  readonly within?: Machine;
  /** Files of control groups to join first. */
  readonly groups: readonly string[];
  readonly logFile: string;
}

export class Machine {
  readonly cluster: string;
  readonly name: string;
  /** Its first process, as this machine numbers it. */
  readonly pid: number;

  private constructor(cluster: string, name: string, pid: number) {
    this.cluster = cluster;
    this.name = name;
    this.pid = pid;
  }

  static async start(options: MachineOptions): Promise<Machine> {
    const { cluster, machine, within } = options;
    const kinds = ['--mount', '--net', '--pid', ...(within ? ['--uts', '--ipc', '--cgroup'] : [])];
    const unshare = ['unshare', ...kinds, '--fork', '--propagation', 'private', ...WAIT];
    const command = within ? within.entering(['mount', 'pid'], unshare) : unshare;
    startDetached([...JOIN_GROUPS, ...command], {
      logFile: options.logFile,
      env: markedEnvironment(cluster, roleOf(machine)),
      stdin: options.groups.map((file) => `${file}\n`).join(''),
    });
    let found: Machine | undefined;
    await until(
      () => {
        found = Machine.find(cluster, machine);
        return found !== undefined;
      },
      `the namespaces of ${machine} are made (see ${options.logFile})`,
      { timeoutMs: START_TIMEOUT_MS, everyMs: 25 },
    );
    return found ?? Machine.missing(cluster, machine);
  }

  /** A machine that runs. */
  static find(cluster: string, machine: string): Machine | undefined {
    // `unshare` makes mounts private as the namespace's first process and only then becomes the shell.
    const first = markedProcesses(cluster).find(
      ({ role, isInit, command }) => role === roleOf(machine) && isInit && command[0] === WAIT[0],
    );
    return first && new Machine(cluster, machine, first.pid);
  }

  static missing(cluster: string, machine: string): never {
    throw new Error(`${machine} of cluster ${cluster} is not running`);
  }

  /** A command as it is run inside. */
  entering(
    kinds: readonly ('mount' | 'net' | 'pid')[] | 'all',
    command: readonly string[],
  ): readonly string[] {
    const which = kinds === 'all' ? ['--all'] : kinds.map((kind) => `--${kind}`);
    return ['nsenter', `--target=${this.pid}`, ...which, '--', ...command];
  }

  /** Runs a command in all of its namespaces. */
  async exec(command: readonly string[], options: RunOptions = {}): Promise<CommandOutput> {
    const env = { ...markedEnvironment(this.cluster, `exec:${this.name}`), HOME: '/root' };
    return await runCommand(this.entering('all', command), { env, ...options });
  }

  /** As {@link exec}; rejects unless it ends with 0. */
  async mustExec(command: readonly string[], options: RunOptions = {}): Promise<string> {
    const env = { ...markedEnvironment(this.cluster, `exec:${this.name}`), HOME: '/root' };
    return await mustRun(this.entering('all', command), { env, ...options });
  }

  /** Runs iproute2's commands, a line each, in its network namespace alone. */
  async ip(lines: readonly string[]): Promise<void> {
    await mustRun(this.entering(['net'], ['ip', '-batch', '-']), { stdin: `${lines.join('\n')}\n` });
  }

  /** Starts a program that stays, in its control groups. */
  start(
    role: string,
    command: readonly string[],
    options: { readonly logFile: string; readonly groups: readonly string[]; readonly kinds?: 'all' },
  ): void {
    const log = openSync(options.logFile, 'a');
    writeSync(log, `--- ${command.join(' ')}\n`);
    closeSync(log);
    startDetached([...JOIN_GROUPS, ...this.entering(options.kinds ?? ['net', 'pid'], command)], {
      logFile: options.logFile,
      env: { ...markedEnvironment(this.cluster, role), HOME: '/root' },
      stdin: options.groups.map((file) => `${file}\n`).join(''),
    });
  }

  /** A path inside, as seen from here. Not for paths through absolute links. */
  path(inside: string): string {
    return `/proc/${this.pid}/root${inside}`;
  }
}

function roleOf(machine: string): string {
  return `machine:${machine}`;
}
