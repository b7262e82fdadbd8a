/**
 * What ztunnel knows from its agent, and what each message makes it do. Pure: no socket, no descriptor, no time.
 *
 * Running proxies survive a lost connection; a new connection starts a new snapshot, and when that is complete whatever
 * it did not name is stopped. So traffic goes on while an agent restarts, and a pod that left meanwhile does not linger.
 */
import { ZdsProtocolError } from './errors.ts';
import { MAX_PODS } from './limits.ts';
import type { ZdsPod } from './messages.ts';

/** Equal for two descriptors of one network namespace. */
export type NetnsId = `${bigint}:${bigint}`;

/** What to do with an `add`: nothing, since it runs there already; or start it, after stopping it elsewhere. */
export type AddDecision = 'running' | 'start' | 'restart';

export class ZdsSession {
  readonly #running = new Map<string, NetnsId>();
  readonly #pending = new Map<string, { readonly pod: ZdsPod; readonly netns: NetnsId }>();
  readonly #named = new Set<string>();
  #snapshotReceived = false;

  get snapshotReceived(): boolean {
    return this.#snapshotReceived;
  }

  /** Pods that were announced and have no proxy. */
  get pending(): readonly string[] {
    return [...this.#pending.keys()];
  }

  get running(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** Where the pod's proxy runs, if it does. */
  runsIn(uid: string): NetnsId | undefined {
    return this.#running.get(uid);
  }

  /** Everything the agent named is served. */
  get ready(): boolean {
    return this.#snapshotReceived && this.#pending.size === 0;
  }

  /** A new connection: what failed before is forgotten, since the snapshot names it again. */
  connected(): void {
    this.#pending.clear();
    this.#named.clear();
    this.#snapshotReceived = false;
  }

  disconnected(): void {
    this.#snapshotReceived = false;
  }

  /** @throws {@link ZdsProtocolError} when an agent announces more pods than a node can have. */
  add(pod: ZdsPod, netns: NetnsId): AddDecision {
    const { uid } = pod;
    if (this.#running.size + this.#pending.size >= MAX_PODS && !this.#running.has(uid))
      throw new ZdsProtocolError(`more than ${MAX_PODS} pods`);
    if (!this.#snapshotReceived) this.#named.add(uid);
    const runsIn = this.#running.get(uid);
    if (runsIn === netns) return 'running';
    this.#running.delete(uid);
    this.#pending.set(uid, { pod, netns });
    return runsIn === undefined ? 'start' : 'restart';
  }

  /** A start succeeded. @returns false if it was called off meanwhile, so that it must be stopped again. */
  started(uid: string, netns: NetnsId): boolean {
    if (this.#pending.get(uid)?.netns !== netns) return false;
    this.#pending.delete(uid);
    this.#running.set(uid, netns);
    return true;
  }

  /** @throws {@link ZdsProtocolError} after the snapshot, where it has no meaning. */
  keep(uid: string): void {
    if (this.#snapshotReceived) throw new ZdsProtocolError('KeepWorkload after the snapshot');
    this.#named.add(uid);
  }

  /** @returns the pods to stop now. Within a snapshot none: its end decides. */
  delete(uid: string): readonly string[] {
    const waited = this.#pending.delete(uid);
    if (!this.#snapshotReceived) {
      this.#named.delete(uid);
      return waited ? [uid] : [];
    }
    return this.#running.delete(uid) || waited ? [uid] : [];
  }

  /**
   * @returns the pods to stop: those that run and were not named.
   * @throws {@link ZdsProtocolError} for a second one on the same connection.
   */
  snapshotSent(): readonly string[] {
    if (this.#snapshotReceived) throw new ZdsProtocolError('second SnapshotSent on one connection');
    this.#snapshotReceived = true;
    const left = [...this.#running.keys()].filter((uid) => !this.#named.has(uid));
    for (const uid of left) this.#running.delete(uid);
    this.#named.clear();
    return left;
  }
}
