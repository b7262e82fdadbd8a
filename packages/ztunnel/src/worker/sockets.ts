/**
 * Sockets of one pod: made in its namespace, with the proxy's mark, and with the client's own address as source where that
 * is wanted and possible.
 */
import { familyOf } from '@ambit/core/ip';
import { type KeepAlive, tcpSocket, type TcpSocketOptions } from '@ambit/linux/sockets';
import type { KeepaliveOptions, WorkerOptions } from '../threads/worker-options.ts';

const SECOND_MS = 1_000;

export class PodSockets {
  readonly #v4: TcpSocketOptions;
  readonly #v6: TcpSocketOptions;
  /** Whether sockets may bear a client's address. */
  readonly preservesSource: boolean;

  constructor(netnsFd: number | undefined, options: WorkerOptions, preservesSource: boolean) {
    const common = {
      ...(netnsFd === undefined ? {} : { netnsFd }),
      ...(options.packetMark === undefined ? {} : { mark: options.packetMark }),
      ...(options.keepalive === undefined ? {} : { keepalive: kernelKeepalive(options.keepalive) }),
    };
    this.#v4 = { ...common, family: 4 };
    this.#v6 = { ...common, family: 6 };
    this.preservesSource = preservesSource;
  }

  /** An unconnected socket for a connection to `to`. @throws LinuxError */
  plain(to: string): number {
    return tcpSocket(familyOf(to) === 4 ? this.#v4 : this.#v6);
  }

  /**
   * The same, from `source` if that address can be borne; else from the pod's own.
   *
   * @param onUnable - Told why it cannot.
   */
  from(source: string, to: string, onUnable: (error: unknown) => void): number {
    const family = familyOf(to);
    if (!this.preservesSource || source === to || familyOf(source) !== family) return this.plain(to);
    const base = family === 4 ? this.#v4 : this.#v6;
    try {
      return tcpSocket({ ...base, bind: { ip: source, port: 0, transparent: true } });
    } catch (error) {
      onUnable(error);
      return this.plain(to);
    }
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
