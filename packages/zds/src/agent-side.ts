/**
 * The agent's end: every ztunnel that connects hears all pods of the node, then each change.
 *
 * During an upgrade two are connected. New pods go to the newest alone; removals go to all, since either may serve the
 * pod. When the newest leaves, the one before is the newest again.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Service } from '@ambit/core/service';
import { type Watch, Watched } from '@ambit/core/watch';
import { type SeqpacketConnection, SeqpacketListener } from '@ambit/linux/seqpacket';
import { AgentConnection } from './agent-connection.ts';
import { NackError, NoZtunnelError, ZdsConnectionError } from './errors.ts';
import { ACCEPT_INTERVAL_MS, MAX_CONNECTIONS } from './limits.ts';
import type { ZdsPod, ZdsRequest } from './messages.ts';

/** An enrolled pod; `netnsFd` is missing when its namespace could not be found, so that ztunnel keeps what it has. */
export interface ZdsSnapshotEntry {
  readonly pod: ZdsPod;
  readonly netnsFd?: number | undefined;
}

export interface ZdsServerOptions {
  /** Of the socket; a file that is left there is replaced. */
  readonly path: string;
  /** All enrolled pods, now. The descriptors are duplicated before anybody else can close them. */
  readonly snapshot: () => readonly ZdsSnapshotEntry[];
  readonly clock: Clock;
  readonly log: Logger;
}

export class ZdsServer implements Service {
  readonly name = 'zds';
  readonly #options: ZdsServerOptions;
  /** Oldest first. */
  #live: readonly AgentConnection[] = [];
  readonly #count = new Watched(0);
  readonly #stop = new AbortController();
  #welcomed = 0;
  #listener: SeqpacketListener | undefined;
  #accepting: Promise<void> | undefined;

  constructor(options: ZdsServerOptions) {
    this.#options = options;
  }

  /** How many ztunnels have connected so far: whether another came meanwhile. */
  get welcomed(): number {
    return this.#welcomed;
  }

  /** How many ztunnels are connected. */
  get connections(): Watch<number> {
    return this.#count;
  }

  /** @throws {@link LinuxError} when the socket cannot be made. */
  start(_signal: AbortSignal): Promise<void> {
    this.#listener = new SeqpacketListener(this.#options.path);
    this.#accepting = this.#accept(this.#listener);
    return Promise.resolve();
  }

  /**
   * Tells the newest ztunnel of a pod; resolves when its listeners are up and, if it waits outside, its connections can be
   * carried.
   *
   * @param entry - `netnsFd` is duplicated before this returns.
   * @throws {@link NoZtunnelError}, {@link NackError}, {@link ZdsConnectionError}: all worth another attempt.
   */
  async add({ pod, netnsFd }: { readonly pod: ZdsPod; readonly netnsFd: number }): Promise<void> {
    const newest = this.#live.at(-1);
    if (!newest) throw new NoZtunnelError(this.#options.path);
    const reason = await newest.ask({ kind: 'add', pod }, netnsFd);
    if (reason !== '') throw new NackError(pod.uid, reason);
  }

  /**
   * Tells every ztunnel that a pod is gone. With none connected there is nobody to tell, and that is fine.
   *
   * @throws {@link ZdsConnectionError} when one could not be told.
   */
  async remove(uid: string): Promise<void> {
    const told = await Promise.allSettled(
      this.#live.map((connection) => connection.ask({ kind: 'del', uid })),
    );
    const problems = told.filter((one) => one.status === 'rejected').map(({ reason }) => messageOf(reason));
    if (problems.length > 0)
      throw new ZdsConnectionError(`pod ${uid} not removed everywhere: ${problems.join('; ')}`);
  }

  /** Closes the socket and all connections; ztunnels keep serving what they have. */
  async drain(): Promise<void> {
    this.#stop.abort();
    this.#listener?.close();
    for (const connection of this.#live) connection.close();
    await this.#accepting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  async #accept(listener: SeqpacketListener): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        const connection = await listener.accept();
        if (!connection) return;
        this.#welcome(connection);
      } catch (error) {
        log.error('accepting a ztunnel failed', { error: messageOf(error) });
      }
      await clock.sleep(ACCEPT_INTERVAL_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  #welcome(connection: SeqpacketConnection): void {
    const { clock, log } = this.#options;
    if (this.#live.length >= MAX_CONNECTIONS) {
      log.warn('too many ztunnels are connected', { limit: MAX_CONNECTIONS });
      connection.close();
      return;
    }
    const ztunnel = new AgentConnection(connection, clock);
    // Asked for before anything else can be, so that no change overtakes the snapshot.
    const snapshot = this.#sendSnapshot(ztunnel);
    this.#welcomed += 1;
    this.#setLive([...this.#live, ztunnel]);
    log.info('ztunnel connected', { connections: this.#live.length });
    snapshot.catch((error: unknown) => {
      log.warn('the snapshot was not sent', { error: messageOf(error) });
      // It dials again, and hears all of it.
      ztunnel.close();
    });
    void ztunnel.closed.then((reason) => {
      this.#setLive(this.#live.filter((one) => one !== ztunnel));
      log.info('ztunnel disconnected', { reason, connections: this.#live.length });
    });
  }

  async #sendSnapshot(ztunnel: AgentConnection): Promise<void> {
    const entries = this.#options.snapshot();
    const end = { request: { kind: 'snapshot-sent' }, fd: undefined } as const;
    const answers = ztunnel.askAll([...entries.map(messageOfEntry), end]);
    const reasons = await Promise.all(answers);
    for (const [index, reason] of reasons.entries()) {
      if (reason === '') continue;
      const what = entries[index] ? `pod ${entries[index].pod.uid}` : 'the end';
      this.#options.log.warn('ztunnel refused a part of the snapshot', { what, reason });
    }
  }

  #setLive(live: readonly AgentConnection[]): void {
    this.#live = live;
    this.#count.set(live.length);
  }
}

function messageOfEntry({ pod, netnsFd }: ZdsSnapshotEntry): {
  readonly request: ZdsRequest;
  readonly fd: number | undefined;
} {
  return netnsFd === undefined
    ? { request: { kind: 'keep', uid: pod.uid }, fd: undefined }
    : { request: { kind: 'add', pod }, fd: netnsFd };
}
