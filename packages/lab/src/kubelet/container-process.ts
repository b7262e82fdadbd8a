/**
 * One container: a process group in the pod's network namespace, in a root of its own, started again when it ends.
 *
 * Nothing here knows the API; the pod's worker is told of every change and asks for the view.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Container } from '@ambit/kube/resources/core';
import { bindMount } from '@ambit/linux/mounts';
import { RESTART_INITIAL_MS, RESTART_MAX_MS, RESTART_RESET_MS } from './limits.ts';
import { LogFile } from './log-file.ts';
import type { ContainerPhase, ContainerView, TerminatedPhase } from './pod-status.ts';
import { timestamp } from './timestamp.ts';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

/** What a start needs; made anew each time, since volumes and configuration may have changed. */
export interface Launch {
  /** Ends as the container's process: `exec` all the way down, and closes descriptor 3 just before the last. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface ContainerOptions {
  readonly container: Container;
  readonly podUid: string;
  /** For logs and the like. */
  readonly folder: string;
  readonly restartPolicy: RestartPolicy;
  /** @throws with the reason that keeps the container waiting. */
  readonly launch: (signal: AbortSignal) => Promise<Launch>;
  readonly changed: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class ContainerProcess {
  readonly log: LogFile;
  readonly #options: ContainerOptions;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #phase: ContainerPhase = { kind: 'waiting', reason: 'ContainerCreating' };
  #last: TerminatedPhase | undefined;
  #restarts = 0;
  #containerId = '';
  #env: Launch['env'] = {};
  #wellKnown = false;
  #running: Promise<void> | undefined;

  constructor(options: ContainerOptions) {
    this.#options = options;
    this.log = new LogFile(join(options.folder, 'logs', `${options.container.name}.log`));
  }

  get container(): Container {
    return this.#options.container;
  }

  /** Of the process, while there is one. */
  get pid(): number | undefined {
    return this.#phase.kind === 'running' ? this.#child?.pid : undefined;
  }

  /** The variables that the process was started with. */
  get env(): Launch['env'] {
    return this.#env;
  }

  get isRunning(): boolean {
    return this.#phase.kind === 'running';
  }

  view(): ContainerView {
    const { container } = this.#options;
    return {
      name: container.name,
      image: container.image ?? '',
      containerId: this.#containerId,
      phase: this.#phase,
      last: this.#last,
      restarts: this.#restarts,
      ready: this.#phase.kind === 'running' && this.#wellKnown,
    };
  }

  /** Says whether the container is well, by its probe; one without a probe is as soon as it runs. */
  setReady(ready: boolean): void {
    if (this.#wellKnown === ready) return;
    this.#wellKnown = ready;
    this.#options.changed();
  }

  /** Runs until stopped, or until it has ended for good. */
  start(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Ends the process, so that the restart policy decides what comes next. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child ?? {};
    if (pid === undefined || this.#phase.kind !== 'running') return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if (codeOf(error) !== 'ESRCH') throw error;
    }
  }

  /** SIGTERM, then SIGKILL after `graceMs`; resolves when the process is gone. Never starts again. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    let timer: Timer | undefined;
    if (graceMs > 0) {
      this.kill('SIGTERM');
      timer = this.#options.clock.after(graceMs, () => this.kill('SIGKILL'));
    } else this.kill('SIGKILL');
    await this.#running;
    timer?.cancel();
    this.log.close();
  }

  async #run(): Promise<void> {
    const { clock, random, restartPolicy } = this.#options;
    const backoff = new Backoff({ initialMs: RESTART_INITIAL_MS, maxMs: RESTART_MAX_MS }, random);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      const ended = await this.#once(signal);
      if (ended) {
        const again = restartPolicy === 'Always' || (restartPolicy === 'OnFailure' && ended.exitCode !== 0);
        if (!again || signal.aborted) return;
        if (clock.monotonicMs() - startedMs > RESTART_RESET_MS) backoff.reset();
        this.#last = ended;
        this.#restarts += 1;
        const message = `exit status ${ended.exitCode}${ended.signal ? ` (${ended.signal})` : ''}`;
        this.#set({ kind: 'waiting', reason: 'CrashLoopBackOff', message });
      }
      await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  /** One life of the process; `undefined` if it could not even begin. */
  async #once(signal: AbortSignal): Promise<TerminatedPhase | undefined> {
    const { clock, launch, container, log } = this.#options;
    const startedAt = timestamp(clock.now());
    let child: ChildProcess;
    try {
      const { command, env } = await launch(signal);
      signal.throwIfAborted();
      const [file = '', ...args] = command;
      this.#env = env;
      child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'], detached: true });
      child.stdout?.on('data', (chunk: Buffer) => this.log.append(chunk));
      child.stderr?.on('data', (chunk: Buffer) => this.log.append(chunk));
      await once(child, 'spawn');
    } catch (error) {
      if (signal.aborted) return undefined;
      log.warn('a container cannot start', { container: container.name, error: messageOf(error) });
      this.#set({ kind: 'waiting', reason: 'CreateContainerError', message: messageOf(error) });
      return undefined;
    }
    this.#child = child;
    this.#containerId = randomBytes(32).toString('hex');
    this.#wellKnown = container.readinessProbe === undefined;
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.#showCgroup(child.pid ?? 0);
    const entered = once(child.stdio[3] as Readable, 'close');
    (child.stdio[3] as Readable).resume();
    await Promise.race([entered, exit]);
    this.#set({ kind: 'running', startedAt });
    if (signal.aborted) this.kill('SIGKILL');
    const [code, killedBy] = await exit;
    const ended: TerminatedPhase = {
      kind: 'terminated',
      exitCode: code ?? 137,
      signal: killedBy ?? undefined,
      startedAt,
      finishedAt: timestamp(clock.now()),
    };
    this.#set(ended);
    return ended;
  }

  /** Node agents find a pod's processes by the name of their cgroup, so the process seems to be in one of that name. */
  #showCgroup(pid: number): void {
    const { folder, podUid, container, log } = this.#options;
    const file = join(folder, `cgroup-${container.name}`);
    const slice = `kubepods-besteffort-pod${podUid.replaceAll('-', '_')}.slice`;
    try {
      writeFileSync(
        file,
        `0::/kubepods.slice/kubepods-besteffort.slice/${slice}/cri-containerd-${this.#containerId}.scope\n`,
      );
      bindMount(file, `/proc/${pid}/cgroup`);
    } catch (error) {
      log.debug('the cgroup of a container cannot be shown', { pid, error: messageOf(error) });
    }
  }

  #set(phase: ContainerPhase): void {
    this.#phase = phase;
    if (phase.kind !== 'running') this.#wellKnown = false;
    this.#options.changed();
  }
}
