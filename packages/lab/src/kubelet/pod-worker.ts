/**
 * One pod on a node, from its network namespace to its last process.
 *
 * Setting up is tried again until it works or the pod is to go; what failed stands in the pod's status. Stopping undoes in
 * the reverse order and always ends: processes first, then the network, then the folder.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { Backoff } from '@ambit/core/backoff';
import { messageOf } from '@ambit/core/errors';
import { hasMounts } from '@ambit/linux/mounts';
import type { Netns } from '@ambit/linux/netns';
import type { Container, Pod } from '@ambit/kube/resources/core';
import { Reconciler } from '../cluster/reconciler.ts';
import { ContainerProcess, type Launch, type RestartPolicy } from './container-process.ts';
import { tellEvent } from './events.ts';
import type { ContainerLog } from './ended-logs.ts';
import type { KubeletContext } from './kubelet.ts';
import { prepareLaunch } from './launch.ts';
import {
  DEFAULT_GRACE_SECONDS,
  SETUP_RETRY_INITIAL_MS,
  SETUP_RETRY_MAX_MS,
  VOLUME_REFRESH_MS,
} from './limits.ts';
import { attachPod, detachPod, type PodNetwork } from './pod-network.ts';
import { statusOf } from './pod-status.ts';
import { probeContainer } from './prober.ts';
import { timestamp } from './timestamp.ts';
import { PodVolumes } from './volumes.ts';

export class PodWorker {
  readonly #context: KubeletContext;
  readonly #abort = new AbortController();
  readonly #volumes: PodVolumes;
  readonly #status: Reconciler;
  readonly #startTime: string;
  readonly #containers: readonly ContainerProcess[];
  readonly #initContainers: readonly ContainerProcess[];
  readonly #running: Promise<void>;
  #pod: Pod;
  #network: PodNetwork | undefined;
  #initialized = false;
  #problem = 'ContainerCreating';
  #written = '';
  #stopping: Promise<void> | undefined;
  #graceMs = 0;

  constructor(pod: Pod, context: KubeletContext) {
    this.#pod = pod;
    this.#context = context;
    const { clock, log, client, folder, apiCaPem } = context;
    this.#startTime = timestamp(clock.now());
    mkdirSync(this.#folder(), { recursive: true });
    this.#volumes = new PodVolumes(pod, { client, folder, clock, apiCaPem });
    const policy = (pod.spec?.restartPolicy ?? 'Always') as RestartPolicy;
    this.#containers = (pod.spec?.containers ?? []).map((container) => this.#process(container, policy));
    this.#initContainers = (pod.spec?.initContainers ?? []).map((container) =>
      this.#process(container, policy === 'Never' ? 'Never' : 'OnFailure'),
    );
    this.#status = new Reconciler({
      name: 'pod status',
      clock,
      log,
      reconcile: (signal) => this.#writeStatus(signal),
    });
    this.#running = this.#run();
  }

  get pod(): Pod {
    return this.#pod;
  }

  get network(): { readonly netns: Netns; readonly path: string } | undefined {
    return this.#network;
  }

  /** The container of that name; the first one for no name. */
  container(name: string): ContainerProcess | undefined {
    const all = [...this.#containers, ...this.#initContainers];
    return name === '' ? all[0] : all.find(({ container }) => container.name === name);
  }

  /** What its containers have printed so far. */
  logs(): readonly ContainerLog[] {
    const { namespace = '', name, uid = '' } = this.#pod.metadata;
    const owner = { namespace, pod: name, uid, node: this.#context.node.name };
    return [...this.#initContainers, ...this.#containers].map(({ container, log }) => ({
      ...owner,
      container: container.name,
      text: log.read(),
    }));
  }

  /** The object has changed: labels, annotations, or that it is to go. */
  update(pod: Pod): void {
    this.#pod = pod;
    this.#status.trigger();
  }

  /**
   * Ends everything; resolves when nothing of the pod is left on the node. Called again with less grace, it hurries.
   *
   * @param graceSeconds - Default: what the pod asks for.
   */
  stop(graceSeconds?: number): Promise<void> {
    const own = this.#pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
    this.#graceMs = (graceSeconds ?? own) * 1_000;
    if (this.#stopping && this.#graceMs === 0) {
      for (const one of [...this.#containers, ...this.#initContainers]) one.kill('SIGKILL');
    }
    this.#stopping ??= this.#tearDown();
    return this.#stopping;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const { clock, random } = this.#context;
    const backoff = new Backoff({ initialMs: SETUP_RETRY_INITIAL_MS, maxMs: SETUP_RETRY_MAX_MS }, random);
    while (!signal.aborted) {
      try {
        this.#network ??= await attachPod(this.#context, this.#pod, signal);
        await this.#volumes.refresh(signal);
        break;
      } catch (error) {
        if (signal.aborted) return;
        this.#setProblem(messageOf(error));
        await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
      }
    }
    this.#status.trigger();
    for (const one of this.#initContainers) {
      if (signal.aborted) return;
      await one.start();
      const { phase } = one.view();
      if (phase.kind !== 'terminated' || phase.exitCode !== 0) return;
    }
    if (signal.aborted) return;
    this.#initialized = true;
    for (const one of this.#containers) {
      void one.start();
      void this.#probe(one, signal);
    }
    await this.#keepVolumes(signal);
  }

  async #probe(one: ContainerProcess, signal: AbortSignal): Promise<void> {
    const { node, clock, log } = this.#context;
    const ip = this.#network?.ips[0] ?? '127.0.0.1';
    const execCommand = (command: readonly string[]) => this.enter(one, command);
    const target = { container: one.container, ip, nodeNetnsFd: node.netns.fd, execCommand };
    await probeContainer({ process: one, target, clock, log }, signal);
  }

  /** A command line that runs `command` inside a container of this pod, as `kubectl exec` does. */
  enter(one: ContainerProcess, command: readonly string[]): readonly string[] {
    const { pid } = one;
    if (pid === undefined) throw new Error(`container ${one.container.name} is not running`);
    return ['nsenter', `--target=${pid}`, '--net', '--mount', '--', ...command];
  }

  async #keepVolumes(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context;
    while (!signal.aborted) {
      await clock.sleep(VOLUME_REFRESH_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.#volumes.refresh(signal).catch((error: unknown) => {
        if (!signal.aborted)
          log.warn('volumes are not brought up to date', { ...this.#fields(), error: messageOf(error) });
      });
    }
  }

  #process(container: Container, restartPolicy: RestartPolicy): ContainerProcess {
    const { clock, random, log } = this.#context;
    return new ContainerProcess({
      container,
      podUid: this.#pod.metadata.uid ?? '',
      folder: this.#folder(),
      restartPolicy,
      launch: () => this.#launch(container),
      changed: () => this.#status.trigger(),
      clock,
      random,
      log,
    });
  }

  async #launch(container: Container): Promise<Launch> {
    const network = this.#network;
    if (!network) throw new Error('the pod has no network');
    const inputs = { context: this.#context, pod: this.#pod, network, volumes: this.#volumes };
    return await prepareLaunch(inputs, container);
  }

  async #tearDown(): Promise<void> {
    this.#abort.abort();
    const all = [...this.#containers, ...this.#initContainers];
    const problems = await Promise.allSettled(all.map((one) => one.stop(this.#graceMs)));
    await this.#running;
    await this.#status[Symbol.asyncDispose]();
    if (this.#network) {
      await detachPod(this.#context, this.#network).catch((error: unknown) =>
        this.#warn('the network was not given back cleanly', error),
      );
    }
    for (const one of problems) {
      if (one.status === 'rejected') this.#warn('a container was not stopped cleanly', one.reason);
    }
    for (const log of this.logs()) this.#context.endedLogs.keep(log);
    // As in pod-root.ts: what is mounted below must not be emptied with it.
    if (!hasMounts(this.#folder())) rmSync(this.#folder(), { recursive: true, force: true });
  }

  async #writeStatus(signal: AbortSignal): Promise<void> {
    const { client, node, clock, pods } = this.#context;
    const waiting = (one: ContainerProcess) => {
      const view = one.view();
      const untouched = view.phase.kind === 'waiting' && view.phase.message === undefined;
      if (!untouched || this.#problem === 'ContainerCreating') return view;
      return {
        ...view,
        phase: { kind: 'waiting' as const, reason: 'ContainerCreating', message: this.#problem },
      };
    };
    const view = {
      hostIp: node.ip,
      podIps: this.#network?.ips ?? [],
      startTime: this.#startTime,
      initialized: this.#initialized,
      containers: this.#containers.map(waiting),
      initContainers: this.#initContainers.map(waiting),
    };
    const status = statusOf(view, this.#pod, timestamp(clock.now()));
    const text = JSON.stringify(status);
    if (text === this.#written) return;
    const { name, namespace } = this.#pod.metadata;
    const body = { status };
    await client.patch(pods, { name, namespace }, { type: 'merge', body }, { subresource: 'status' }, signal);
    this.#written = text;
  }

  #setProblem(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const { client, clock, log, node } = this.#context;
    log.warn('a pod cannot start yet', { ...this.#fields(), problem });
    const reason = this.#network ? 'FailedMount' : 'FailedCreatePodSandBox';
    const event = { type: 'Warning', reason, message: problem } as const;
    void tellEvent({ client, clock, log, nodeName: node.name }, this.#pod, event);
    this.#status.trigger();
  }

  #warn(message: string, error: unknown): void {
    this.#context.log.warn(message, { ...this.#fields(), error: messageOf(error) });
  }

  #fields() {
    const { namespace, name } = this.#pod.metadata;
    return { namespace, pod: name, node: this.#context.node.name };
  }

  #folder(): string {
    return this.#context.folder.podFolder(this.#pod.metadata.uid ?? '');
  }
}
