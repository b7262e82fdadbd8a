/**
 * The listeners of one pod, in its namespace: all of them open, or none.
 *
 * Each worker has its own on the same port (SO_REUSEPORT), among which the kernel spreads connections; a peer that opens
 * several tunnels spreads them itself, by their ports (see sockets.ts).
 */
import { createServer, type Server } from 'node:net';
import { codeOf, messageOf } from '@ambit/core/errors';
import { acceptHandles, adoptConnection, type TcpHandle } from '@ambit/http/transport/native';
import { tryServeByClientPort } from '@ambit/linux/reuse-port';
import {
  acceptWaiting,
  fdOf,
  type ListeningSocket,
  listenTcp,
  type ListenOptions,
} from '@ambit/linux/sockets';
import type { WorkerOptions } from '../threads/worker-options.ts';
import { ListenError } from './errors.ts';
import { LISTEN_BACKLOG } from './limits.ts';
import { kernelKeepalive } from './sockets.ts';

export interface Listener {
  readonly port: number;
  /** Loopback only. */
  readonly loopback?: boolean;
  /** Clients choose by their port which worker serves them, where the kernel can. */
  readonly byClientPort?: boolean;
  /**
   * Connections have the congestion control of those that do not leave the machine: all of them, or `onAccepted` gives the
   * namespace's own to the others. The other way round would be too late.
   */
  readonly withinMachine?: boolean;
  readonly onAccepted: (handle: TcpHandle) => void;
}

export interface Listeners {
  /** Whether every one of them may serve foreign addresses. */
  readonly transparent: boolean;
  /** Whether clients choose their worker, wherever they may. */
  readonly byClientPort: boolean;
  readonly congestionControl: ListeningSocket['congestionControl'];
  /** Takes what waits in the kernel, which would be reset otherwise, and then no more. */
  close(): void;
}

/**
 * @param onError - A connection could not be accepted; the listener goes on.
 * @throws {@link ListenError} and nothing stays open.
 */
export function openListeners(
  netnsFd: number | undefined,
  wanted: readonly Listener[],
  options: WorkerOptions,
  onError: (port: number, status: number) => void,
): Listeners {
  const open: { readonly server: Server; readonly listener: Listener }[] = [];
  let transparent = options.originalSource !== 'never';
  let byClientPort = true;
  let congestionControl: ListeningSocket['congestionControl'] = { own: '', withinMachine: undefined };
  try {
    for (const listener of wanted) {
      const socket = openSocket(netnsFd, listener, options);
      transparent &&= socket.transparent || listener.loopback === true;
      if (listener.byClientPort && options.workers > 1) {
        byClientPort &&= tryServeByClientPort(socket.fd, options.workers);
      }
      congestionControl = socket.congestionControl;
      const server = createServer().on('error', () => undefined);
      open.push({ server, listener });
      server.listen({ fd: socket.fd, backlog: LISTEN_BACKLOG });
      acceptHandles(server, listener.onAccepted, (status) => onError(listener.port, status));
    }
  } catch (error) {
    for (const { server } of open) server.close();
    throw error;
  }
  const close = () => {
    for (const { server, listener } of open) {
      takeWaiting(server, listener);
      server.close();
    }
  };
  return { transparent, byClientPort, congestionControl, close };
}

function takeWaiting(server: Server, { onAccepted }: Listener): void {
  const listening = fdOf(server);
  if (listening === undefined) return;
  for (let taken = 0; taken < LISTEN_BACKLOG; taken++) {
    const fd = acceptWaiting(listening);
    if (fd === undefined) return;
    const handle = adoptConnection(fd);
    if (handle) onAccepted(handle);
  }
}

function openSocket(
  netnsFd: number | undefined,
  { port, loopback, withinMachine = false }: Listener,
  options: WorkerOptions,
) {
  const ip = loopback ? '127.0.0.1' : options.ipv6 ? '::' : '0.0.0.0';
  const listen: ListenOptions = {
    ...(netnsFd === undefined ? {} : { netnsFd }),
    ...(options.packetMark === undefined ? {} : { mark: options.packetMark }),
    ...(options.keepalive === undefined ? {} : { keepalive: kernelKeepalive(options.keepalive) }),
    ip,
    port,
    backlog: LISTEN_BACKLOG,
    transparent: loopback ? 'never' : options.originalSource,
    reusePort: options.portReuse,
    noDelay: true,
    withinMachine,
  };
  try {
    return listenTcp(listen);
  } catch (error) {
    const errno = typeof error === 'object' && error !== null && 'errnoName' in error ? error.errnoName : '';
    const why =
      errno === 'EADDRINUSE' || codeOf(error) === 'EADDRINUSE' ? 'address in use' : messageOf(error);
    throw new ListenError(ip, port, why, { cause: error });
  }
}
