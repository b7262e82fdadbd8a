/**
 * Which connections of a namespace pass the proxy by: those that began before redirection did, or after it ended.
 *
 * Redirection gives a connection two more ends in the same namespace, both the proxy's. The program's own end then looks
 * as it would in clear; what tells it apart is the proxy's end that faces it. A listing is not one moment: an end that the
 * proxy opened while the kernel listed may be missing, so whoever cuts what is found here looks twice.
 */
import { type Endpoint, isLoopback } from '@ambit/core/ip';
import type { TcpConnection } from './sock-diag.ts';

/** How to know the proxy's sockets. */
export interface ProxySockets {
  readonly isOfProxy: (connection: TcpConnection) => boolean;
  /** Ports of the proxy that redirection leads to. */
  readonly redirectedTo: ReadonlySet<number>;
}

/** Established connections of programs with the outside, either way, that no proxy sees. */
export function clearConnections(
  all: readonly TcpConnection[],
  { isOfProxy, redirectedTo }: ProxySockets,
): readonly TcpConnection[] {
  // An end of the proxy faces the program: as whom the program connected to, or at a port of its own by redirection.
  const facing = new Set(
    all
      .filter(isOfProxy)
      .map(({ local, remote }) => `${textOf(remote)} ${redirectedTo.has(local.port) ? '' : textOf(local)}`),
  );
  const ends = new Set(all.map(({ local, remote }) => `${textOf(local)} ${remote.port}`));
  return all.filter(
    (connection) =>
      connection.state === 'established' &&
      !isOfProxy(connection) &&
      !isLoopback(connection.remote.ip) &&
      // The other end is here as well: a program with itself, or with the proxy by redirection.
      !ends.has(`${textOf(connection.remote)} ${connection.local.port}`) &&
      !facing.has(`${textOf(connection.local)} `) &&
      !facing.has(`${textOf(connection.local)} ${textOf(connection.remote)}`),
  );
}

/** Those of {@link clearConnections} that somebody outside opened: a program listens where they lead. */
export function inboundClearConnections(
  all: readonly TcpConnection[],
  proxy: ProxySockets,
): readonly TcpConnection[] {
  const listened = new Set(
    all
      .filter((socket) => socket.state === 'listen' && !proxy.isOfProxy(socket))
      .map(({ local }) => local.port),
  );
  return clearConnections(
    all.filter(({ state }) => state !== 'listen'),
    proxy,
  ).filter(({ local }) => listened.has(local.port));
}

function textOf({ ip, port }: Endpoint): string {
  return `${ip}:${port}`;
}
