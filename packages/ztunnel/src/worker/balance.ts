/**
 * Evens out what the kernel spreads by chance: an accepted connection goes to the worker that has least.
 *
 * SO_REUSEPORT chooses a worker by a hash, so that of two tunnels, which carry everything between two pods, both lie on
 * one worker every other time, and the other one idles. Workers share a process, hence descriptors: a connection moves as
 * a number, before a byte of it was read. It goes from worker to worker, since the control thread may be busy.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '@ambit/core/clock';
import { adoptHandle, type TcpHandle } from '@ambit/hbone/socket/native';
import { closeFd, duplicateFd } from '@ambit/linux/descriptors';
import { type LoadKind, WorkerLoads } from '../threads/worker-loads.ts';
import type { MovedConnection, PeersMessage } from '../threads/messages.ts';
import { MAX_AWAITING_POD, POD_ARRIVAL_MS } from './limits.ts';

/** What takes a pod's connections at a port; `undefined` if this worker does not have that pod. */
export type AcceptFor = (uid: string, port: number) => ((handle: TcpHandle) => void) | undefined;

export class Balance {
  readonly #own: number;
  readonly #acceptFor: AcceptFor;
  readonly #clock: Clock;
  #loads: WorkerLoads | undefined;
  #ports: readonly (MessagePort | undefined)[] = [];
  /** Came before this worker was told of their pod. */
  #awaitingPod: MovedConnection[] = [];

  constructor(own: number, acceptFor: AcceptFor, clock: Clock) {
    this.#own = own;
    this.#acceptFor = acceptFor;
    this.#clock = clock;
  }

  /** From here on, connections move. */
  meet({ loads, ports }: PeersMessage): void {
    this.#loads = new WorkerLoads(loads, this.#own);
    this.#ports = ports;
    for (const port of ports) port?.on('message', (moved: MovedConnection) => this.#arrived(moved));
  }

  /** Something opened or ended on this worker. */
  count(kind: LoadKind, change: 1 | -1): void {
    this.#loads?.add(kind, change);
  }

  /** Gives an accepted connection to the worker that should have it; `false`: that is this one. */
  moves(kind: LoadKind, uid: string, port: number, handle: TcpHandle): boolean {
    const better = this.#loads?.better(kind);
    const peer = better === undefined ? undefined : this.#ports[better];
    if (!peer) return false;
    let fd: number;
    try {
      fd = duplicateFd(handle.fd);
    } catch {
      return false; // no descriptor to spare: it stays here
    }
    handle.close();
    this.#loads?.add(kind, 1, better);
    peer.postMessage({ kind, uid, port, fd } satisfies MovedConnection);
    return true;
  }

  /** A pod is there: what came for it before is served. */
  podStarted(): void {
    const waiting = this.#awaitingPod;
    this.#awaitingPod = waiting.filter((moved) => !this.#take(moved));
  }

  #arrived(moved: MovedConnection): void {
    if (this.#take(moved)) return;
    if (this.#awaitingPod.length >= MAX_AWAITING_POD) {
      this.#drop(moved);
      return;
    }
    this.#awaitingPod.push(moved);
    this.#clock.after(POD_ARRIVAL_MS, () => {
      const index = this.#awaitingPod.indexOf(moved);
      if (index < 0) return;
      this.#awaitingPod.splice(index, 1);
      this.#drop(moved);
    });
  }

  /** `false`, and nothing done, if its pod is not there. */
  #take(moved: MovedConnection): boolean {
    const accept = this.#acceptFor(moved.uid, moved.port);
    if (!accept) return false;
    this.#loads?.add(moved.kind, -1);
    const handle = adoptHandle(moved.fd);
    if (handle) accept(handle);
    else closeFd(moved.fd);
    return true;
  }

  #drop({ kind, fd }: MovedConnection): void {
    this.#loads?.add(kind, -1);
    closeFd(fd);
  }
}
