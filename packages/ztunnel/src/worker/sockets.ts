/**
 * Sockets of one pod: made in its namespace, with the proxy's mark, and with the client's own address as source where that
 * is wanted and possible.
 *
 * The namespace is named by the number of a descriptor that is another's once the pod has stopped: from then on there are
 * no more sockets.
 *
 * A connection that bears a client's address must not have a port that the client itself uses: between the same addresses
 * and ports there is one connection, to the application's socket and to conntrack alike, and a second one is answered by
 * nobody. Clients connect in clear as well, before a pod is enrolled, after it has left, or because they are outside the
 * mesh. So these ports are drawn from where clients' own hardly ever are.
 */
import type { Random } from '@ambit/core/clock';
import { type Endpoint, familyOf } from '@ambit/core/ip';
import { closeFd } from '@ambit/linux/descriptors';
import { EADDRNOTAVAIL } from '@ambit/linux/errno';
import { LinuxError } from '@ambit/linux/errors';
import { portsServedBy } from '@ambit/linux/reuse-port';
import { type KeepAlive, startConnect, tcpSocket, type TcpSocketOptions } from '@ambit/linux/sockets';
import type { KeepaliveOptions, WorkerOptions } from '../threads/worker-options.ts';
import type { FarEnd } from './bulk-destinations.ts';
import { PodStoppedError } from './errors.ts';

const SECOND_MS = 1_000;

/** The kernel's default range for local ports, within which a small one is drawn. */
const FIRST_LOCAL_PORT = 32_768;
const LOCAL_PORTS = 28_232;
/** Below the range that clients' kernels draw from; above what most applications listen on. */
const FIRST_BORNE_PORT = 10_240;
const BORNE_PORTS = FIRST_LOCAL_PORT - FIRST_BORNE_PORT;
/** With half of all ports in use, next to certain to hold a free one, and looked through in microseconds. */
const FEW_PORTS = 128;

/** After so many ports that were taken between the same two, wherever the kernel finds one. */
const BORNE_PORT_TRIES = 8;

/** Connections that do not leave the machine, where they should have another congestion control than the namespace's. */
export interface WithinMachine {
  /** By the kernel's name. */
  readonly congestionControl: string;
  /** Whether a connection to `ip` is one of them. */
  includes(ip: string): boolean;
}

type ByFamily = Readonly<Record<4 | 6, TcpSocketOptions>>;

export class PodSockets {
  readonly #anywhere: ByFamily;
  readonly #withinMachine: ByFamily;
  readonly #within: WithinMachine | undefined;
  readonly #random: Random;
  readonly #mustPreserve: boolean;
  readonly #worker: { readonly index: number; readonly workers: number };
  /** Whether sockets may bear a client's address. */
  readonly preservesSource: boolean;
  #closed = false;

  constructor(
    netnsFd: number | undefined,
    options: WorkerOptions,
    preservesSource: boolean,
    random: Random,
    within?: WithinMachine,
  ) {
    this.#random = random;
    const common = {
      ...(netnsFd === undefined ? {} : { netnsFd }),
      ...(options.packetMark === undefined ? {} : { mark: options.packetMark }),
      ...(options.keepalive === undefined ? {} : { keepalive: kernelKeepalive(options.keepalive) }),
    };
    this.#within = within;
    this.#anywhere = byFamily(common);
    this.#withinMachine = byFamily(
      within ? { ...common, congestionControl: within.congestionControl } : common,
    );
    this.preservesSource = preservesSource;
    this.#mustPreserve = options.originalSource === 'must';
    this.#worker = options;
  }

  /** No more sockets from now on. */
  close(): void {
    this.#closed = true;
  }

  /**
   * An unconnected socket for a connection to `to`, from the pod's own address and any port.
   *
   * @throws LinuxError, {@link PodStoppedError}
   */
  plain(to: string): number {
    return tcpSocket(this.#optionsFor(to));
  }

  /**
   * The same, from one of two ports by which the peer knows this worker's tunnels from the other workers': served by
   * different workers of the peer, the two ends of two tunnels are four threads' work and not three's. Where the peer is
   * this process, both ends of an `own` tunnel are this worker's, since workers begin to listen in order: no thread has to
   * wake another one then. If both ports are taken, connecting fails with EADDRNOTAVAIL.
   *
   * @param far - Whose the far end is there, where the peer is this process.
   * @throws LinuxError, {@link PodStoppedError}
   */
  tunnel(to: string, far: FarEnd = 'own'): number {
    const { workers } = this.#worker;
    if (workers === 1) return this.plain(to);
    const index = far === 'own' ? this.#worker.index : (this.#worker.index + 1) % workers;
    const firstBlock = Math.ceil(FIRST_LOCAL_PORT / (2 * workers));
    const blocks = Math.floor(LOCAL_PORTS / (2 * workers)) - 1;
    const localPorts = portsServedBy(index, workers, firstBlock + Math.floor(this.#random() * blocks));
    return tcpSocket({ ...this.#optionsFor(to), localPorts });
  }

  /**
   * A socket on its way to `to`, from the pod's own address.
   *
   * @returns Its fd, or what keeps it from connecting as a negative errno.
   * @throws LinuxError, {@link PodStoppedError}
   */
  connect(to: Endpoint): number {
    const first = tcpSocket({ ...this.#optionsFor(to.ip), localPorts: this.#fewPorts() });
    return connectFirst(first, to, (attempt) => (attempt === 1 ? this.plain(to.ip) : undefined));
  }

  /**
   * The same, from `source` if that address can be borne; else from the pod's own, unless that must not be.
   *
   * @param onUnable - Told why it cannot.
   */
  connectFrom(source: string, to: Endpoint, onUnable: (error: unknown) => void): number {
    const bears = this.preservesSource && source !== to.ip && familyOf(source) === familyOf(to.ip);
    if (!bears) return this.connect(to);
    let first: number;
    try {
      first = this.#bearing(source, to.ip);
    } catch (error) {
      if (this.#mustPreserve) throw error;
      onUnable(error);
      return this.connect(to);
    }
    return connectFirst(first, to, (attempt) => {
      if (attempt < BORNE_PORT_TRIES) return this.#bearing(source, to.ip);
      return attempt === BORNE_PORT_TRIES ? this.#bearingAnyPort(source, to.ip) : undefined;
    });
  }

  #bearing(source: string, to: string): number {
    const port = FIRST_BORNE_PORT + Math.floor(this.#random() * BORNE_PORTS);
    try {
      return tcpSocket({ ...this.#optionsFor(to), bind: { ip: source, port, transparent: true } });
    } catch (error) {
      // Somebody listens on it.
      if (error instanceof LinuxError && error.errnoName === 'EADDRINUSE')
        return this.#bearingAnyPort(source, to);
      throw error;
    }
  }

  #bearingAnyPort(source: string, to: string): number {
    return tcpSocket({ ...this.#optionsFor(to), bind: { ip: source, port: 0, transparent: true } });
  }

  #fewPorts(): { readonly from: number; readonly to: number } {
    const from = FIRST_LOCAL_PORT + Math.floor(this.#random() * (LOCAL_PORTS - FEW_PORTS));
    return { from, to: from + FEW_PORTS - 1 };
  }

  #optionsFor(to: string): TcpSocketOptions {
    if (this.#closed) throw new PodStoppedError();
    const options = this.#within?.includes(to) ? this.#withinMachine : this.#anywhere;
    return options[familyOf(to)];
  }
}

function byFamily(common: Omit<TcpSocketOptions, 'family'>): ByFamily {
  return { 4: { ...common, family: 4 }, 6: { ...common, family: 6 } };
}

/**
 * Begins to connect the first socket that finds a local port: a port, or a range, may be all that one can use.
 *
 * @param other - The socket to try with when the one before it found none; called with 1, 2 and so on. `undefined`: that
 * was all.
 * @returns The socket, or what keeps it from connecting as a negative errno; then all are closed.
 */
export function connectFirst(
  first: number,
  to: Endpoint,
  other: (attempt: number) => number | undefined,
): number {
  const family = familyOf(to.ip);
  let fd = first;
  for (let attempt = 1; ; attempt += 1) {
    const status = startConnect(fd, to.ip, to.port, family);
    if (status === 0) return fd;
    closeFd(fd);
    const next = status === -EADDRNOTAVAIL ? other(attempt) : undefined;
    if (next === undefined) return status;
    fd = next;
  }
}

export function kernelKeepalive(options: KeepaliveOptions): KeepAlive {
  const { idleMs, intervalMs, probes } = options;
  const seconds = (ms: number) => Math.max(1, Math.round(ms / SECOND_MS));
  return {
    idleSeconds: seconds(idleMs),
    intervalSeconds: seconds(intervalMs),
    probes,
    ...(options.userTimeout ? { userTimeoutMs: idleMs + intervalMs * probes } : {}),
  };
}
