/**
 * Opens tunnels: TCP, then TLS, then the proof that the peer is who it must be, then an HTTP/2 session.
 *
 * No byte of a workload goes out before the proof. Which namespace the socket lives in is the caller's affair: it
 * passes an unconnected one.
 */
import { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Timer } from '@ambit/core/clock';
import { codeOf } from '@ambit/core/errors';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { handshakeProblem, type MeshTlsClientOptions, type PeerVerdict } from '@ambit/identity/tls-context';
import { TunnelConnectError, TunnelConnectTimeoutError, TunnelTlsError } from './errors.ts';
import { H2Session, type SessionHandler, type SessionOptions } from '@ambit/http/h2/session';
import { CLIENT_HEADER_LIST_BYTES, CONNECT_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS } from './limits.ts';
import { TlsTransport } from '@ambit/http/transport/tls-transport';

export interface TunnelDial {
  readonly to: Endpoint;
  /** An unconnected, non-blocking TCP socket of the right family, owned by the dial from the call on; or a new one. */
  readonly fd: number | undefined;
  readonly tls: MeshTlsClientOptions;
  /** Who the peer is and whether that is right; asked right after the handshake. */
  verify(socket: TLSSocket): PeerVerdict;
  readonly session: SessionOptions;
}

export interface Tunnel {
  readonly session: H2Session;
  /** What the peer proved to be. */
  readonly identity: string;
}

/** What {@link openTunnel} rejects with. */
export type TunnelDialError = TunnelConnectTimeoutError | TunnelConnectError | TunnelTlsError;

/**
 * @param handler - Hears of the session once the promise has resolved.
 * @throws {@link TunnelConnectTimeoutError}, {@link TunnelConnectError}: nobody there.
 * @throws {@link TunnelTlsError}: somebody, but not one to talk to.
 */
export function openTunnel(dial: TunnelDial, handler: SessionHandler): Promise<Tunnel> {
  return new Promise((resolve, reject) => {
    const { clock } = dial.session;
    const address = formatHostPort(dial.to.ip, dial.to.port);
    const tcp = new Socket({ allowHalfOpen: true, ...(dial.fd === undefined ? {} : { fd: dial.fd }) });
    let timer: Timer | undefined;
    const fail = (error: TunnelDialError) => {
      timer?.cancel();
      tcp.destroy();
      reject(error);
    };
    const onTcpError = (error: Error) => {
      const Problem = codeOf(error) === 'ETIMEDOUT' ? TunnelConnectTimeoutError : undefined;
      fail(
        Problem
          ? new Problem(address, CONNECT_TIMEOUT_MS)
          : new TunnelConnectError(address, { cause: error }),
      );
    };
    timer = clock.after(CONNECT_TIMEOUT_MS, () =>
      fail(new TunnelConnectTimeoutError(address, CONNECT_TIMEOUT_MS)),
    );
    tcp.once('error', onTcpError);
    tcp.setNoDelay(true);
    tcp.connect({ host: dial.to.ip, port: dial.to.port });
    tcp.once('connect', () => {
      timer?.cancel();
      timer = clock.after(HANDSHAKE_TIMEOUT_MS, () =>
        fail(new TunnelTlsError(`no handshake within ${HANDSHAKE_TIMEOUT_MS} ms`)),
      );
      tcp.off('error', onTcpError);
      const tls = connectTls({ socket: tcp, ...dial.tls });
      const onTlsError = (error: Error) =>
        fail(new TunnelTlsError(handshakeProblem(error), { cause: error }));
      const onTlsClose = () =>
        fail(new TunnelTlsError('the peer closed the connection during the handshake'));
      tls.once('error', onTlsError).once('close', onTlsClose);
      tls.once('secureConnect', () => {
        timer?.cancel();
        tls.off('close', onTlsClose).off('error', onTlsError);
        const verdict = dial.verify(tls);
        if (!verdict.ok) {
          tls.on('error', () => undefined);
          tls.destroy();
          reject(new TunnelTlsError(verdict.reason));
          return;
        }
        const session = new H2Session('client', new TlsTransport(tls), handler, {
          ...dial.session,
          headerListBytes: CLIENT_HEADER_LIST_BYTES,
        });
        resolve({ session, identity: verdict.identity });
      });
    });
  });
}
