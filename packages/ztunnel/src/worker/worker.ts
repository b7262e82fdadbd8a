/**
 * READ FIRST: the data plane of one worker thread, wired from top to bottom.
 *
 * It does what the control thread says (threads/messages.ts), owns the sockets of its share of every pod's connections, and
 * decides with the functions of `@ambit/model` on its own view of mesh state.
 */
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { type LogRoot, parseLogFilter } from '@ambit/core/log';
import { QUEUED_BYTES_PER_PROCESS } from '@ambit/hbone/limits';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { Revocations } from '@ambit/identity/revocation-list';
import { MeshStore } from '@ambit/model/store';
import type {
  ControlToWorker,
  StartPodMessage,
  WarmUpMessage,
  WorkerQuestion,
  WorkerToControl,
} from '../threads/messages.ts';
import type { WorkerOptions } from '../threads/worker-options.ts';
import type { AccessOutput } from './access-output.ts';
import { BulkDestinations } from './bulk-destinations.ts';
import { WorkerCertificates } from './certificates.ts';
import type { Connection } from './connection.ts';
import type { WorkerContext } from './context.ts';
import { Demands } from './demands.ts';
import { DrainError } from './errors.ts';
import { EventCounters } from './event-counters.ts';
import { EARLY_DATA_BYTES, MAX_DOUBTS, shareOf } from './limits.ts';
import { MeshFeed } from './mesh-feed.ts';
import { MeshWaits } from '@ambit/model/mesh-waits';
import { Names } from '@ambit/core/names';
import { Pod } from './pod.ts';
import { PolicyWatch } from './policy-watch.ts';
import { TrafficCounters } from './traffic-counters.ts';

/** What a warm-up has to know of the thread that it is on. */
export interface ThreadState {
  /** The worker drains: whatever is not a connection's ends. */
  readonly signal: AbortSignal;
  /** Whether no connection is open. */
  readonly isIdle: () => boolean;
}

export interface DataWorkerDeps {
  readonly options: WorkerOptions;
  readonly post: (message: WorkerToControl) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LogRoot;
  readonly accessLog: AccessOutput;
  readonly names?: Names;
  readonly collectGarbage?: () => void;
  /** Never rejects. */
  readonly warmUp?: (message: WarmUpMessage, thread: ThreadState) => Promise<void>;
}

export class DataWorker {
  readonly #deps: DataWorkerDeps;
  readonly #context: WorkerContext;
  readonly #feed: MeshFeed;
  readonly #pods = new Map<string, Pod>();
  /** Told to stop, with connections that may still go on. */
  readonly #stopping = new Map<string, Pod>();
  readonly #draining = new AbortController();

  constructor(deps: DataWorkerDeps) {
    const { options, post, clock, random, log } = deps;
    const { http2, tls } = options;
    const mesh = new MeshStore({ nodeName: options.nodeName });
    const meshWaits = new MeshWaits(mesh, clock);
    const doubts = new MeshWaits(mesh, clock, MAX_DOUBTS);
    const demands = new Demands(mesh, meshWaits, (key) => post({ kind: 'need-address', key }));
    this.#deps = deps;
    this.#context = {
      options,
      clock,
      random,
      log: log.scope('proxy'),
      verdictLog: log.scope('rbac'),
      mesh,
      meshWaits,
      doubts,
      demands,
      names: deps.names ?? new Names(clock),
      certificates: new WorkerCertificates(clock, (identity) => post({ kind: 'need-certificate', identity })),
      revocations: new Revocations(),
      counters: new TrafficCounters(),
      events: new EventCounters(),
      accessLog: deps.accessLog,
      bulk: new BulkDestinations(options.bulkTable),
      budget: new QueueBudget(shareOf(QUEUED_BYTES_PER_PROCESS, options.workers, http2.streamWindowBytes)),
      session: {
        ...DEFAULT_SESSION_OPTIONS,
        streamWindowBytes: http2.streamWindowBytes,
        connectionWindowBytes: http2.connectionWindowBytes,
        maxFrameBytes: http2.frameBytes,
        takesEarlyData: true,
        earlyDataBytes: EARLY_DATA_BYTES,
        clock,
      },
      tls,
      route: { random, illegalPorts: new Set(options.illegalPorts) },
    };
    this.#feed = new MeshFeed(mesh, clock, (message) => {
      demands.answeredWithNothing(message.removed);
      post({ kind: 'mesh-applied', version: message.version });
    });
    const policies = new PolicyWatch(clock);
    mesh.changes.subscribe((change) => policies.changed(change, this.#pods.values()));
    mesh.changes.subscribe((change) => policies.changed(change, this.#stopping.values()));
  }

  receive(message: ControlToWorker): void {
    const { certificates } = this.#context;
    switch (message.kind) {
      case 'mesh-delta':
        this.#feed.push(message);
        return;
      case 'mesh-complete':
        this.#context.mesh.complete();
        this.#context.meshWaits.askAgain();
        this.#context.doubts.askAgain();
        return;
      case 'certificate':
        certificates.accept(message);
        return;
      case 'certificate-failed':
        certificates.failed(message.identity, message.reason);
        return;
      case 'forget-certificate':
        certificates.forget(message.identity);
        return;
      case 'revocations':
        this.#revoke(message.bytes);
        return;
      case 'start-pod':
        this.#start(message);
        return;
      case 'stop-pod':
        void this.#stop(message.uid, message.deadlineMs);
        return;
      case 'drain':
        void this.#drain(message.deadlineMs);
        return;
      case 'log-filter':
        this.#filter(message.filter);
        return;
      case 'collect-garbage':
        this.#deps.collectGarbage?.();
        return;
      case 'warm-up':
        void this.#warmUp(message);
        return;
      case 'ask':
        this.#answer(message.id, message.question);
        return;
      default:
        message satisfies never;
    }
  }

  #start(message: StartPodMessage): void {
    const { uid } = message.pod;
    // Workers begin one after the other, so this may come later than the end: what it let in then would soon be cut.
    if (this.#draining.signal.aborted) {
      this.#deps.post({ kind: 'pod-failed', uid, reason: 'the proxy is stopping' });
      return;
    }
    void this.#pods.get(uid)?.stop(0);
    try {
      this.#pods.set(uid, new Pod(this.#context, message));
    } catch (error) {
      this.#pods.delete(uid);
      this.#deps.post({ kind: 'pod-failed', uid, reason: messageOf(error) });
      return;
    }
    this.#deps.post({ kind: 'pod-started', uid });
  }

  async #stop(uid: string, deadlineMs: number): Promise<void> {
    const pod = this.#pods.get(uid);
    const stopping = this.#stopping.get(uid);
    if (stopping && deadlineMs === 0) stopping.cut();
    if (!pod) {
      if (!stopping) this.#deps.post({ kind: 'pod-stopped', uid });
      return;
    }
    this.#pods.delete(uid);
    this.#stopping.set(uid, pod);
    await pod.stop(deadlineMs);
    if (this.#stopping.get(uid) === pod) this.#stopping.delete(uid);
    this.#deps.post({ kind: 'pod-stopped', uid });
  }

  async #drain(deadlineMs: number): Promise<void> {
    this.#draining.abort(new DrainError());
    const stopping = Promise.all([...this.#pods.keys()].map((uid) => this.#stop(uid, deadlineMs)));
    // That has closed listeners already.
    this.#deps.post({ kind: 'draining' });
    await stopping;
    for (const pod of this.#stopping.values()) pod.cut();
    this.#deps.accessLog.flushSync();
    this.#deps.post({ kind: 'drained' });
  }

  async #warmUp(message: WarmUpMessage): Promise<void> {
    const { signal } = this.#draining;
    await this.#deps.warmUp?.(message, { signal, isIdle: () => this.#open().next().done === true });
    this.#deps.post({ kind: 'warmed-up' });
  }

  *#open(): Generator<Connection> {
    for (const pods of [this.#pods, this.#stopping]) for (const pod of pods.values()) yield* pod.connections;
  }

  #revoke(bytes: Uint8Array): void {
    const { revocations, log } = this.#context;
    try {
      revocations.replace(bytes);
    } catch (error) {
      log.error('revocation lists not read', { error: messageOf(error) });
    }
  }

  #filter(text: string): void {
    const filter = parseLogFilter(text);
    if (!filter) return;
    this.#deps.log.filter = filter;
    this.#deps.accessLog.filter = filter;
  }

  #answer(id: number, question: WorkerQuestion): void {
    const { post } = this.#deps;
    const open = [...this.#open()];
    if (question.what === 'connections') {
      const connections = open.map((connection) => connection.report()).filter((one) => one !== undefined);
      post({ kind: 'answer', id, connections });
      return;
    }
    for (const connection of open) connection.count();
    const { counters, events } = this.#context;
    post({ kind: 'answer', id, metrics: [...counters.report(), ...events.report()] });
  }
}
