/**
 * Connections of a pod that are older than its enrolment: no proxy sees them, so policy is applied to them from here.
 *
 * Soon after a pod has started, the connections in clear that lead to its programs are noted. Each is asked about as a peer
 * that proved nothing, then and whenever policy or the pod's workload changes, and is reset once policy refuses it. What
 * begins in clear later is not ours to judge: the pod is on its way out of the mesh.
 *
 * A namespace's descriptor is used only between `watch` and the disposal of what it returned; after that its number may
 * mean another pod's.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { LimitError, messageOf } from '@ambit/core/errors';
import { formatHostPort } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { Counter, MetricRegistry } from '@ambit/core/metrics';
import { inboundClearConnections, type ProxySockets } from '@ambit/linux/clear-connections';
import {
  destroyTcpConnection,
  listTcpConnections,
  OPEN_STATES,
  type TcpConnection,
} from '@ambit/linux/sock-diag';
import { MAX_LISTED_CONNECTIONS } from '@ambit/linux/limits';
import { authorize, type AuthorizeOptions, refusalOf } from '@ambit/model/decide/authorize';
import type { MeshChange, MeshStore } from '@ambit/model/store';
import { PORTS } from '../config.ts';
import { CLEAR_JUDGEMENT_DELAY_MS, CLEAR_LOOKS_MS, MAX_CLEAR_CONNECTIONS_PER_POD } from '../limits.ts';
import type { PodInfo } from '../threads/messages.ts';

/** As whom the node agent lets the kubelet probe an enrolled pod; no policy is asked about probes. */
const PROBE_SOURCES: ReadonlySet<string> = new Set([
  '169.254.7.127',
  'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
]);
const LISTENING_PORTS: ReadonlySet<number> = new Set([
  PORTS.outbound,
  PORTS.inboundPlaintext,
  PORTS.inbound,
  PORTS.dns,
]);

/** One connection that no proxy sees, for `ambit connections`. */
export interface ClearConnectionReport {
  readonly podUid: string;
  readonly direction: 'inbound';
  readonly src: string;
  readonly actualDst: string;
  readonly protocol: 'CLEAR';
}

export interface ClearConnectionsOptions {
  readonly mesh: MeshStore;
  /** What the proxy's sockets are marked with. */
  readonly mark: number | undefined;
  readonly missingPolicy: AuthorizeOptions['missingPolicy'];
  /** `cut`: the operator wants none, whatever policy says. */
  readonly mode: 'keep' | 'cut';
  readonly registry: MetricRegistry;
  readonly clock: Clock;
  readonly log: Logger;
}

interface WatchedPod {
  readonly info: PodInfo;
  readonly netnsFd: number;
  /** By the kernel's name of the socket. */
  readonly found: Map<string, TcpConnection>;
  looks: readonly Timer[];
  /** Policy is to be asked about all that was found. */
  isDue: boolean;
}

export class ClearConnections implements Disposable {
  readonly #options: ClearConnectionsOptions;
  readonly #proxy: ProxySockets;
  readonly #pods = new Map<string, WatchedPod>();
  readonly #subscription: Disposable;
  readonly #cut: Counter;
  #judgement: Timer | undefined;

  constructor(options: ClearConnectionsOptions) {
    this.#options = options;
    const { mark, mesh, registry } = options;
    this.#proxy = {
      isOfProxy: (socket) =>
        (mark !== undefined && socket.mark === mark) || LISTENING_PORTS.has(socket.local.port),
      redirectedTo: LISTENING_PORTS,
    };
    this.#cut = registry.counter({
      name: 'ambit_ztunnel_clear_connections_cut',
      help: 'Connections older than enrolment that policy, or AMBIT_CLEAR_CONNECTIONS=cut, has ended',
    });
    this.#cut.inc(undefined, 0);
    const open = registry.gauge({
      name: 'ambit_ztunnel_clear_connections',
      help: 'Inbound connections older than enrolment that go on in clear',
    });
    registry.beforeCollect(() => open.set(this.reports().length));
    this.#subscription = mesh.changes.subscribe((change) => this.#meshChanged(change));
  }

  /** The pod's namespace may be looked into until the result is disposed of. */
  watch(info: PodInfo, netnsFd: number): Disposable {
    const pod: WatchedPod = { info, netnsFd, found: new Map(), looks: [], isDue: false };
    this.#forget(this.#pods.get(info.uid));
    this.#pods.set(info.uid, pod);
    return { [Symbol.dispose]: () => this.#forget(pod) };
  }

  /** The node agent is about to hear that the pod is served, and redirects its traffic then; it may say so again. */
  enrolled(uid: string): void {
    const pod = this.#pods.get(uid);
    if (!pod) return;
    for (const timer of pod.looks) timer.cancel();
    pod.looks = CLEAR_LOOKS_MS.map((ms) => this.#options.clock.after(ms, () => this.#look(pod)));
  }

  /** What goes on in clear now. */
  reports(): readonly ClearConnectionReport[] {
    return [...this.#pods.values()].flatMap((pod) => {
      this.#guarded(pod, () => this.#forgetEnded(pod));
      return [...pod.found.values()].map(
        ({ local, remote }): ClearConnectionReport => ({
          podUid: pod.info.uid,
          direction: 'inbound',
          src: formatHostPort(remote.ip, remote.port),
          actualDst: formatHostPort(local.ip, local.port),
          protocol: 'CLEAR',
        }),
      );
    });
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#judgement?.cancel();
    for (const pod of this.#pods.values()) this.#forget(pod);
  }

  #forget(pod: WatchedPod | undefined): void {
    if (!pod) return;
    for (const timer of pod.looks) timer.cancel();
    pod.looks = [];
    if (this.#pods.get(pod.info.uid) === pod) this.#pods.delete(pod.info.uid);
  }

  #meshChanged({ policies, workloads }: MeshChange): void {
    for (const pod of this.#pods.values()) {
      if (pod.found.size === 0) continue;
      const uid = this.#options.mesh.localWorkload(pod.info)?.uid;
      if (policies || (uid !== undefined && workloads.has(uid))) this.#judgeSoon(pod);
    }
  }

  #judgeSoon(pod: WatchedPod): void {
    pod.isDue = true;
    this.#judgement ??= this.#options.clock.after(CLEAR_JUDGEMENT_DELAY_MS, () => {
      this.#judgement = undefined;
      for (const due of this.#pods.values()) {
        if (due.isDue) this.#guarded(due, () => this.#judge(due));
      }
    });
  }

  #look(pod: WatchedPod): void {
    this.#guarded(pod, () => {
      const first = this.#list(pod).filter((connection) => !pod.found.has(keyOf(connection)));
      if (first.length > 0) {
        // Only what both listings show in clear is: a connection through the proxy may have opened during one of them.
        const seen = new Set(first.map(keyOf));
        for (const connection of this.#list(pod)) {
          const key = keyOf(connection);
          if (!seen.has(key)) continue;
          if (pod.found.size < MAX_CLEAR_CONNECTIONS_PER_POD) pod.found.set(key, connection);
          else this.#end(pod, connection, `more than ${MAX_CLEAR_CONNECTIONS_PER_POD} connections in clear`);
        }
      }
      this.#judge(pod);
    });
  }

  #list({ netnsFd }: WatchedPod): readonly TcpConnection[] {
    const { connections, isAll } = listTcpConnections(netnsFd, [...OPEN_STATES, 'listen']);
    // Else one of the proxy's own might be cut, whose other end is among those that are not listed.
    if (!isAll) throw new LimitError('listing TCP connections', MAX_LISTED_CONNECTIONS, 'sockets');
    return inboundClearConnections(connections, this.#proxy).filter(
      ({ remote }) => !PROBE_SOURCES.has(remote.ip),
    );
  }

  #forgetEnded({ netnsFd, found }: WatchedPod): void {
    if (found.size === 0) return;
    const { connections, isAll } = listTcpConnections(netnsFd);
    // Of those that are not listed nobody knows whether they have ended; to cut one that has is nothing.
    if (!isAll) return;
    const open = new Set(connections.map(keyOf));
    for (const key of found.keys()) if (!open.has(key)) found.delete(key);
  }

  #judge(pod: WatchedPod): void {
    pod.isDue = false;
    this.#forgetEnded(pod);
    for (const [key, connection] of pod.found) {
      const refusal = this.#refusalOf(pod, connection);
      if (refusal === undefined) continue;
      this.#end(pod, connection, refusal);
      pod.found.delete(key);
    }
  }

  /** Why it must end; `undefined` if it may go on. */
  #refusalOf({ info }: WatchedPod, { local, remote }: TcpConnection): string | undefined {
    const { mesh, missingPolicy, mode } = this.#options;
    if (mode === 'cut') return 'older than the pod’s enrolment, and AMBIT_CLEAR_CONNECTIONS=cut';
    const workload = mesh.localWorkload(info);
    if (!workload) return undefined;
    const request = { identity: undefined, sourceIp: remote.ip, destination: local };
    const verdict = authorize(mesh, workload, request, { missingPolicy });
    return verdict.kind === 'missing' ? undefined : refusalOf(verdict);
  }

  #end({ info, netnsFd }: WatchedPod, { local, remote, handle }: TcpConnection, reason: string): void {
    if (!destroyTcpConnection(netnsFd, handle)) return;
    this.#cut.inc();
    this.#options.log.info('connection in clear cut', {
      pod: `${info.namespace}/${info.name}`,
      local: formatHostPort(local.ip, local.port),
      remote: formatHostPort(remote.ip, remote.port),
      reason,
    });
  }

  /** A kernel that does not answer, or cannot cut: said, and tried again at the next change. */
  #guarded({ info }: WatchedPod, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#options.log.warn('connections in clear are not checked', {
        pod: `${info.namespace}/${info.name}`,
        error: messageOf(error),
      });
    }
  }
}

function keyOf({ handle: { id } }: TcpConnection): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
}
