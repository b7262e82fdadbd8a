/**
 * Mesh state of this process: decoded and checked here, kept for decisions of the control thread, and sent on to the
 * workers as the same bytes, which they read at the same time: a start waits for that. Of a large change most workloads are
 * only checked (`@ambit/model/roll`): each thread decodes those that it needs.
 *
 * What is rejected here each worker rejects by itself: an address keeps what was held of it,
 * a policy that cannot be read is noted. The order is the one in which they came; `applied` says how far the slowest worker is.
 * Workers hear of no workload from a control plane before it has told its policies: a policy of a whole namespace is named
 * by no workload, so nothing but this order keeps connections from being let in without it.
 */
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import type { Logger } from '@ambit/core/log';
import { until, type Watch, Watched } from '@ambit/core/watch';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { rollUp } from '@ambit/model/roll/roll-up';
import { applyXdsDelta, type XdsDelta } from '@ambit/model/xds-delta';
import type { Rejection, ResourceDelta, TypeHandler } from '@ambit/xds/client/type-state';
import { LARGE_CHANGE_BYTES } from '../limits.ts';
import { localFileMessage, meshDeltaMessage } from '../threads/mesh-delta.ts';
import type { MeshCompleteMessage, MeshDeltaMessage } from '../threads/messages.ts';
import type { WorkerEvent } from './worker-pool.ts';

export interface MeshWorkers {
  readonly size: number;
  broadcast(message: MeshDeltaMessage | MeshCompleteMessage): void;
  subscribe(listener: (event: WorkerEvent, worker: number) => void): Disposable;
}

export interface MeshStateOptions {
  readonly nodeName: string;
  readonly onDemand: boolean;
  readonly workers: MeshWorkers;
  /** Called when every worker has applied a change that left much garbage behind. */
  readonly afterLargeChange?: () => void;
  readonly log: Logger;
}

export class MeshState implements Disposable {
  readonly store: MeshStore;
  readonly #options: MeshStateOptions;
  readonly #interner = new Interner();
  readonly #appliedBy: number[];
  readonly #applied = new Watched(0);
  readonly #subscription: Disposable;
  /** Addresses that workers are not told yet, `undefined` for removed ones; no more of it once policies were told. */
  #heldBack: Map<string, Uint8Array | undefined> | undefined = new Map();
  readonly #disposed = new AbortController();
  #version = 0;

  constructor(options: MeshStateOptions) {
    this.#options = options;
    this.store = new MeshStore({ nodeName: options.nodeName });
    this.#appliedBy = Array.from({ length: options.workers.size }, () => 0);
    this.#subscription = options.workers.subscribe((event, worker) => {
      if (event.kind !== 'mesh-applied') return;
      this.#appliedBy[worker] = event.version;
      this.#applied.set(Math.min(...this.#appliedBy));
    });
  }

  /** Counts what was sent to the workers. */
  get version(): number {
    return this.#version;
  }

  /** The last version that every worker has. */
  get applied(): Watch<number> {
    return this.#applied;
  }

  /** Resolves when every worker has what this thread has now. */
  async reachedWorkers(signal: AbortSignal): Promise<void> {
    const wanted = this.#version;
    if (this.#options.workers.size > 0) await until(this.#applied, (version) => version >= wanted, signal);
  }

  /** The control plane has said all it knew at first, and every worker has it. */
  complete(): void {
    this.store.complete();
    this.#options.workers.broadcast({ kind: 'mesh-complete' });
  }

  /** What an xDS client hands its responses to, in the order in which it shall ask. */
  handlers(): readonly TypeHandler[] {
    return [
      {
        typeUrl: AUTHORIZATION_TYPE_URL,
        apply: (delta) => {
          const rejections = this.#apply(AUTHORIZATION_TYPE_URL, delta);
          this.#policiesTold();
          return rejections;
        },
      },
      {
        typeUrl: ADDRESS_TYPE_URL,
        onDemand: this.#options.onDemand,
        apply: (delta) => this.#apply(ADDRESS_TYPE_URL, delta),
      },
    ];
  }

  /** @throws LocalFileError naming line and column of what is wrong; then nothing was changed. */
  loadLocal(text: string, file: string): void {
    const delta = readLocalMesh(text, file, this.#interner);
    this.store.apply(delta);
    this.#version += 1;
    this.#options.workers.broadcast(localFileMessage(delta, this.#version));
    this.#tidy(text.length);
    this.#options.log.info('local mesh loaded', {
      file,
      workloads: delta.workloads.length,
      services: delta.services.length,
      policies: delta.policies.length,
    });
  }

  [Symbol.dispose](): void {
    this.#disposed.abort(new Error('stopping'));
    this.#subscription[Symbol.dispose]();
  }

  #apply(typeUrl: string, delta: ResourceDelta): readonly Rejection[] {
    const held = typeUrl === ADDRESS_TYPE_URL ? this.#heldBack : undefined;
    const rolled = this.#rolled(typeUrl, delta);
    if (!held) this.#send(typeUrl, rolled);
    const rejections = applyXdsDelta(this.store, typeUrl, rolled, this.#interner);
    if (!held) return rejections;
    // Of one that came twice, the first may have been good.
    const rejected = new Set(rejections.map(({ name }) => name));
    for (const name of delta.removed) held.set(name, undefined);
    for (const { name, value } of delta.upserts) if (!rejected.has(name)) held.set(name, value);
    return rejections;
  }

  #policiesTold(): void {
    const held = this.#heldBack;
    if (!held) return;
    this.#heldBack = undefined;
    const names = [...held.keys()];
    const delta = {
      upserts: [...held].flatMap(([name, value]) => (value ? [{ name, value }] : [])),
      removed: names.filter((name) => held.get(name) === undefined),
    };
    this.#send(ADDRESS_TYPE_URL, this.#rolled(ADDRESS_TYPE_URL, delta));
  }

  #rolled(typeUrl: string, delta: XdsDelta): XdsDelta {
    return typeUrl === ADDRESS_TYPE_URL ? rollUp(delta, this.#options.nodeName, this.#interner) : delta;
  }

  #send(typeUrl: string, delta: XdsDelta): void {
    if (delta.upserts.length === 0 && delta.removed.length === 0 && !delta.roll) return;
    this.#version += 1;
    const message = meshDeltaMessage(typeUrl, delta, this.#version);
    this.#options.workers.broadcast(message);
    this.#tidy(message.bytes.length + (message.roll?.bytes.length ?? 0));
  }

  #tidy(bytes: number): void {
    const { afterLargeChange } = this.#options;
    if (!afterLargeChange || bytes < LARGE_CHANGE_BYTES) return;
    this.reachedWorkers(this.#disposed.signal).then(afterLargeChange, () => undefined);
  }
}
