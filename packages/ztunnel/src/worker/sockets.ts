/**
 * Sockets of one pod: made in its namespace, with the proxy's mark, and with the client's own address as source where that
 * is wanted and possible.
 */
import type { Random } from '@ambit/core/clock';
import { familyOf } from '@ambit/core/ip';
import { type KeepAlive, tcpSocket, type TcpSocketOptions } from '@ambit/linux/sockets';
import type { KeepaliveOptions, WorkerOptions } from '../threads/worker-options.ts';

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
  /** Whether sockets may bear a client's address. */
  readonly preservesSource: boolean;

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
  }

  /**
   * An unconnected socket for a connection to `to`.
   *
   * @param ports - `few`: its local port is looked for in a small range, drawn anew each time, which may be all taken.
   * @throws LinuxError
   */
  plain(to: string, ports: 'few' | 'any'): number {
    return tcpSocket(this.#optionsFor(to, ports));
  }

  /**
   * The same, from `source` if that address can be borne; else from the pod's own.
   *
   * @param onUnable - Told why it cannot.
   */
  from(source: string, to: string, ports: 'few' | 'any', onUnable: (error: unknown) => void): number {
    const bears = this.preservesSource && source !== to && familyOf(source) === familyOf(to);
    if (!bears) return this.plain(to, ports);
    try {
      return tcpSocket({ ...this.#optionsFor(to, ports), bind: { ip: source, port: 0, transparent: true } });
    } catch (error) {
      onUnable(error);
      return this.plain(to, ports);
    }
  }

  #optionsFor(to: string, ports: 'few' | 'any'): TcpSocketOptions {
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
