/**
 * Which pods this node's proxy serves: started on every worker before the node agent hears that they are, stopped on
 * every worker before their namespace is let go.
 *
 * What is done to one pod is done in order, one after the other; different pods do not wait for each other. The same pod
 * in the same namespace is a no-op, in another namespace it is replaced.
 */
import type { Clock } from '@ambit/core/clock';
import { LimitError, MeshError, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { MAX_PODS, POD_DRAIN_MS, POD_START_TIMEOUT_MS, POD_STOP_GRACE_MS } from '../limits.ts';
import type { ControlToWorker, PodInfo } from '../threads/messages.ts';
import type { Draining } from '../dns/draining.ts';
import type { WorkerEvent } from './worker-pool.ts';

/** A namespace held open: `@ambit/linux/netns`, or a stand-in. */
export interface PodNetns {
  readonly fd: number;
  readonly dev: bigint;
  readonly ino: bigint;
  close(): void;
}

/** As much of the pool as pods need. */
export interface PodWorkers {
  readonly size: number;
  broadcast(message: ControlToWorker): void;
  /** There may be no such worker. */
  send(worker: number, message: ControlToWorker): void;
  subscribe(listener: (event: WorkerEvent, worker: number) => void): Disposable;
}

/** A pod's listeners could not all be opened. */
export class PodStartError extends MeshError {
  readonly code = 'POD_START';
  readonly side = 'internal';
}

export type PodState = 'Pending' | 'Up';

interface Pod {
  readonly info: PodInfo;
  readonly netns: PodNetns | undefined;
  state: PodState;
  companion: Draining | undefined;
}

/** For something that every worker has to say about a pod. */
interface Wait {
  hear(event: WorkerEvent, worker: number): void;
  /** Rejects when a worker cannot, or not all have said it in time. */
  readonly inTime: Promise<void>;
  /** Resolves when all have said it, however late. Never rejects. */
  readonly ever: Promise<void>;
}

/** What happens to pods, for metrics and certificates. */
export interface PodObserver {
  /** It is to be served; nothing of it is yet. */
  coming?(info: PodInfo): void;
  started?(info: PodInfo): void;
  stopped?(info: PodInfo): void;
  /** It is not to be served any more, whether it ever was or not. */
  left?(info: PodInfo): void;
  changed?(): void;
}

export interface PodsOptions {
  readonly workers: PodWorkers;
  /** What a pod's identity is until mesh state says more. */
  readonly identityOf: (info: PodInfo) => string;
  /** What else a pod gets while it is served, in its namespace: DNS. Pods that only take tunnels get none. */
  readonly accompany?: ((info: PodInfo, netnsFd: number | undefined) => Promise<Draining>) | undefined;
  readonly observer?: PodObserver;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Pods implements Disposable {
  readonly #options: PodsOptions;
  readonly #pods = new Map<string, Pod>();
  /** The last thing that is done to each pod. */
  readonly #order = new Map<string, Promise<void>>();
  /** Removed, with connections and a companion that may still go on. */
  readonly #draining = new Map<string, Pod>();
  /** By uid: what is awaited of workers about the pod. */
  readonly #waits = new Map<string, ReadonlySet<Wait>>();
  readonly #subscription: Disposable;

  constructor(options: PodsOptions) {
    this.#options = options;
    this.#subscription = options.workers.subscribe((event, worker) => {
      if (!('uid' in event)) return;
      for (const wait of this.#waits.get(event.uid) ?? []) wait.hear(event, worker);
    });
  }

  /** Every pod with its state, for the dump. */
  states(): readonly { readonly info: PodInfo; readonly state: PodState }[] {
    return [...this.#pods.values()].map(({ info, state }) => ({ info, state }));
  }

  count(state: PodState): number {
    return this.#pods.values().reduce((sum, pod) => sum + (pod.state === state ? 1 : 0), 0);
  }

  uses(namespace: string, serviceAccount: string): boolean {
    return this.#pods
      .values()
      .some(({ info }) => info.namespace === namespace && info.serviceAccount === serviceAccount);
  }

  /**
   * Resolves when every worker listens for the pod. Takes over `netns`, also when it fails.
   *
   * @throws {@link PodStartError} when a worker cannot; the pod then is `Pending` and serves nothing.
   */
  add(info: PodInfo, netns: PodNetns | undefined, inboundOnly = false): Promise<void> {
    const leaving = this.#draining.get(info.uid);
    if (leaving) {
      leaving.companion?.[Symbol.dispose]();
      this.#options.workers.broadcast({ kind: 'stop-pod', uid: info.uid, deadlineMs: 0 });
    }
    return this.#inOrder(info.uid, async () => {
      const known = this.#pods.get(info.uid);
      if (known?.state === 'Up' && isSameNetns(known.netns, netns)) {
        netns?.close();
        return;
      }
      if (known?.state === 'Up') await this.#stop(known, 0);
      if (!this.#pods.has(info.uid) && this.#pods.size >= MAX_PODS) {
        netns?.close();
        throw new LimitError('pods of this node', MAX_PODS, 'pods');
      }
      await this.#start({ info, netns, state: 'Pending', companion: undefined }, inboundOnly);
    });
  }

  /** Stops the pod, in the background; unknown ones are fine. */
  remove(uid: string, drainMs: number = POD_DRAIN_MS): void {
    const removed = this.#inOrder(uid, async () => {
      const known = this.#pods.get(uid);
      if (known) await this.#stop(known, drainMs);
    });
    removed.catch((error: unknown) =>
      this.#options.log.error('pod not stopped', { pod: uid, error: messageOf(error) }),
    );
  }

  /** The process is ending: whatever accompanies pods comes to its end. Connections end with their workers. */
  async drain(): Promise<void> {
    await Promise.all([...this.#pods.values()].map((pod) => this.#leave(pod)));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    for (const { companion } of this.#draining.values()) companion?.[Symbol.dispose]();
    for (const { netns, companion } of this.#pods.values()) {
      companion?.[Symbol.dispose]();
      netns?.close();
    }
    this.#pods.clear();
  }

  #inOrder(uid: string, run: () => Promise<void>): Promise<void> {
    const before = this.#order.get(uid) ?? Promise.resolve();
    const done = before.then(run, run);
    const settled = done.catch(() => undefined);
    this.#order.set(uid, settled);
    void settled.then(() => {
      if (this.#order.get(uid) === settled) this.#order.delete(uid);
    });
    return done;
  }

  async #start(pod: Pod, inboundOnly: boolean): Promise<void> {
    const { workers, identityOf, observer, log } = this.#options;
    const { info, netns } = pod;
    this.#pods.set(info.uid, pod);
    observer?.coming?.(info);
    observer?.changed?.();
    const message: ControlToWorker = {
      kind: 'start-pod',
      pod: info,
      netnsFd: netns?.fd,
      identity: identityOf(info),
      inboundOnly,
    };
    // One worker after the other: their places among the sockets that share a port are their numbers then, by which
    // tunnels within this node stay on one thread (PodSockets.tunnel).
    const { inTime: started } = this.#await(info.uid, 'pod-started', POD_START_TIMEOUT_MS, (worker) =>
      workers.send(worker + 1, message),
    );
    workers.send(0, message);
    try {
      const [companion] = await Promise.allSettled([
        inboundOnly ? undefined : this.#options.accompany?.(info, netns?.fd),
        started,
      ]);
      if (companion.status === 'fulfilled') pod.companion = companion.value;
      else throw companion.reason;
      await started;
    } catch (error) {
      const reason = messageOf(error);
      log.warn('pod not started', {
        pod: info.name,
        namespace: info.namespace,
        uid: info.uid,
        error: reason,
      });
      await this.#release(pod, 0);
      this.#pods.set(info.uid, { info, netns: undefined, state: 'Pending', companion: undefined });
      observer?.changed?.();
      throw new PodStartError(reason, { cause: error });
    }
    pod.state = 'Up';
    log.info('pod started', { pod: info.name, namespace: info.namespace, uid: info.uid });
    observer?.started?.(info);
    observer?.changed?.();
  }

  async #stop(pod: Pod, drainMs: number): Promise<void> {
    const { observer, log } = this.#options;
    const { info } = pod;
    this.#pods.delete(info.uid);
    observer?.changed?.();
    if (pod.state === 'Up') {
      await this.#release(pod, drainMs);
      log.info('pod stopped', { pod: info.name, namespace: info.namespace, uid: info.uid });
      observer?.stopped?.(info);
    }
    observer?.left?.(info);
  }

  /** Never rejects: what cannot be drained is stopped as it is. */
  async #leave(pod: Pod): Promise<void> {
    const { companion, info } = pod;
    try {
      await companion?.drain();
    } catch (error) {
      this.#options.log.warn('what accompanies a pod could not be drained', {
        uid: info.uid,
        error: messageOf(error),
      });
    }
    companion?.[Symbol.dispose]();
    pod.companion = undefined;
  }

  /**
   * Stops the pod on every worker, and lets its namespace go when none uses it. One that says nothing in time is not waited
   * for, but the descriptor stays open until it speaks: closed, its number could come to mean another pod's namespace.
   */
  async #release(pod: Pod, drainMs: number): Promise<void> {
    const { info, netns } = pod;
    if (drainMs === 0) pod.companion?.[Symbol.dispose]();
    const left = this.#leave(pod);
    const { inTime, ever } = this.#await(info.uid, 'pod-stopped', drainMs + POD_STOP_GRACE_MS);
    this.#options.workers.broadcast({ kind: 'stop-pod', uid: info.uid, deadlineMs: drainMs });
    this.#draining.set(info.uid, pod);
    try {
      await Promise.all([inTime, left]);
      netns?.close();
    } catch (error) {
      this.#options.log.error('pod not stopped in time', { uid: info.uid, error: messageOf(error) });
      void Promise.all([ever, left]).then(() => netns?.close());
    } finally {
      this.#draining.delete(info.uid);
    }
  }

  /** @param onSaid - Called when a worker has said it, once for each. */
  #await(
    uid: string,
    kind: 'pod-started' | 'pod-stopped',
    timeoutMs: number,
    onSaid?: (worker: number) => void,
  ): Wait {
    const { workers, clock } = this.#options;
    const said = Promise.withResolvers<void>();
    const missing = new Set(Array.from({ length: workers.size }, (_, worker) => worker));
    const failed = Promise.withResolvers<never>();
    const late = clock.after(timeoutMs, () =>
      failed.reject(
        new PodStartError(`${missing.size} of ${workers.size} workers did not answer within ${timeoutMs} ms`),
      ),
    );
    const wait: Wait = {
      hear: (event, worker) => {
        if (event.kind === 'pod-failed' && kind === 'pod-started')
          failed.reject(new PodStartError(event.reason));
        // A worker that was late with the start before this one says it twice: told again, the next would cut what it has.
        if (event.kind !== kind || !missing.delete(worker)) return;
        onSaid?.(worker);
        if (missing.size === 0) said.resolve();
      },
      inTime: Promise.race([said.promise, failed.promise]).finally(() => {
        late.cancel();
        if (kind === 'pod-started') this.#drop(uid, wait);
      }),
      ever: said.promise.then(() => this.#drop(uid, wait)),
    };
    if (missing.size === 0) said.resolve();
    this.#waits.set(uid, new Set([...(this.#waits.get(uid) ?? []), wait]));
    return wait;
  }

  #drop(uid: string, wait: Wait): void {
    const left = [...(this.#waits.get(uid) ?? [])].filter((other) => other !== wait);
    if (left.length > 0) this.#waits.set(uid, new Set(left));
    else this.#waits.delete(uid);
  }
}

function isSameNetns(a: PodNetns | undefined, b: PodNetns | undefined): boolean {
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}
