/**
 * Sockets of one pod: made in its namespace, with the proxy's mark, and with the client's own address as source where that
 * is wanted and possible.
 *
 * The namespace is named by the number of a descriptor that is another's once the pod has stopped: from then on there are
 * no more sockets.
 */
import type { Random } from '@ambit/core/clock';
import { familyOf } from '@ambit/core/ip';
import { type KeepAlive, tcpSocket, type TcpSocketOptions } from '@ambit/linux/sockets';
import type { KeepaliveOptions, WorkerOptions } from '../threads/worker-options.ts';
import { PodStoppedError } from './errors.ts';

const SECOND_MS = 1_000;

/** The kernel's default range for local ports, within which a small one is drawn. */
const FIRST_LOCAL_PORT = 32_768;
const LOCAL_PORTS = 28_232;
/** With half of all ports in use, next to certain to hold a free one, and looked through in microseconds. */
const FEW_PORTS = 128;

export class PodSockets {
  readonly #v4: TcpSocketOptions;
  readonly #v6: TcpSocketOptions;
  readonly #random: Random;
  readonly #mustPreserve: boolean;
  /** Whether sockets may bear a client's address. */
  readonly preservesSource: boolean;
  #closed = false;

  constructor(netnsFd: number | undefined, options: WorkerOptions, preservesSource: boolean, random: Random) {
    this.#random = random;
    const common = {
      ...(netnsFd === undefined ? {} : { netnsFd }),
      ...(options.packetMark === undefined ? {} : { mark: options.packetMark }),
      ...(options.keepalive === undefined ? {} : { keepalive: kernelKeepalive(options.keepalive) }),
    };
    this.#v4 = { ...common, family: 4 };
    this.#v6 = { ...common, family: 6 };
    this.preservesSource = preservesSource;
    this.#mustPreserve = options.originalSource === 'must';
  }

  /** No more sockets from now on. */
  close(): void {
    this.#closed = true;
  }

  /**
   * An unconnected socket for a connection to `to`.
   *
   * @param ports - `few`: its local port is looked for in a small range, drawn anew each time, which may be all taken.
   * @throws LinuxError, {@link PodStoppedError}
   */
  plain(to: string, ports: 'few' | 'any'): number {
    return tcpSocket(this.#optionsFor(to, ports));
  }

  /**
   * The same, from `source` if that address can be borne; else from the pod's own, unless that must not be.
   *
   * @param onUnable - Told why it cannot.
   */
  from(source: string, to: string, ports: 'few' | 'any', onUnable: (error: unknown) => void): number {
    const bears = this.preservesSource && source !== to && familyOf(source) === familyOf(to);
    if (!bears) return this.plain(to, ports);
    const options = this.#optionsFor(to, ports);
    try {
      return tcpSocket({ ...options, bind: { ip: source, port: 0, transparent: true } });
    } catch (error) {
      if (this.#mustPreserve) throw error;
      onUnable(error);
      return this.plain(to, ports);
    }
  }

  #optionsFor(to: string, ports: 'few' | 'any'): TcpSocketOptions {
    if (this.#closed) throw new PodStoppedError();
    const base = familyOf(to) === 4 ? this.#v4 : this.#v6;
    if (ports === 'any') return base;
    const from = FIRST_LOCAL_PORT + Math.floor(this.#random() * (LOCAL_PORTS - FEW_PORTS));
    return { ...base, localPorts: { from, to: from + FEW_PORTS - 1 } };
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
