/**
 * TLS that the waypoint itself begins with an endpoint, as a DestinationRule or a BackendTLSPolicy asks: within a tunnel, or
 * straight to somebody outside of the mesh.
 *
 * The endpoint must prove a name: one of those the policy lists, else the one that it is called by. Nothing is sent before.
 */
import type { Duplex } from 'node:stream';
import {
  checkServerIdentity,
  connect,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { isIP } from 'node:net';
import type { UpstreamTls } from '../resources/destination-policy.ts';
import type { HttpVersion } from './http-pool.ts';

export interface TlsOrigination {
  readonly policy: UpstreamTls;
  /** What is spoken within; `undefined`: whatever the client speaks. */
  readonly version: HttpVersion | undefined;
  /** Asked for when the policy names nobody. */
  readonly hostname: string | undefined;
}

export interface TlsWaiter {
  onSecured(socket: TLSSocket): void;
  onFailed(error: Error): void;
}

/**
 * @param duplex - Connected; nothing was read from it yet. It is destroyed when the handshake fails.
 * @param secureContext - Of the policy.
 */
export function originateTls(
  duplex: Duplex,
  { policy, version, hostname }: TlsOrigination,
  secureContext: SecureContext,
  waiter: TlsWaiter,
): TLSSocket {
  const name = policy.sni || hostname || '';
  const socket = connect({
    socket: duplex,
    secureContext,
    rejectUnauthorized: !policy.insecureSkipVerify,
    checkServerIdentity: (_, certificate) => nameProblem(policy, name, certificate),
    ...(name === '' || isIP(name) > 0 ? {} : { servername: name }),
    ...(version === undefined ? {} : { ALPNProtocols: [version === '2' ? 'h2' : 'http/1.1'] }),
  });
  const onError = (error: Error) => {
    duplex.destroy();
    waiter.onFailed(error);
  };
  socket.once('error', onError);
  socket.once('secureConnect', () => {
    socket.off('error', onError);
    waiter.onSecured(socket);
  });
  return socket;
}

/** Why the endpoint is not who it should be. */
export function nameProblem(
  { subjectAltNames }: UpstreamTls,
  name: string,
  certificate: PeerCertificate,
): Error | undefined {
  if (subjectAltNames.length === 0) {
    return name === '' ? new Error('no name to verify') : checkServerIdentity(name, certificate);
  }
  const proven = (certificate.subjectaltname ?? '').split(', ');
  const matches = subjectAltNames.some(
    (wanted) =>
      proven.includes(`URI:${wanted}`) ||
      (!wanted.includes('/') && checkServerIdentity(wanted, certificate) === undefined),
  );
  if (matches) return undefined;
  return new Error(
    `expected one of ${subjectAltNames.join(', ')}, got ${certificate.subjectaltname ?? 'no name'}`,
  );
}
