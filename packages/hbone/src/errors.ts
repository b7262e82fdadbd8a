/** What can go wrong in a tunnel. The codes label logs and metrics and never change meaning. */
import { MeshError } from '@ambit/core/errors';

/** The pool of tunnels is closing, or the tunnel ended before it answered. No byte of this stream was sent. */
export class TunnelClosedError extends MeshError {
  readonly code = 'TUNNEL_CLOSED';
  readonly side = 'upstream';
  override readonly retryable = true;

  constructor(reason: string, options?: ErrorOptions) {
    super(`tunnel closed: ${reason}`, options);
  }
}

/** Nobody answered on the tunnel's TCP port in time. */
export class TunnelConnectTimeoutError extends MeshError {
  readonly code = 'TUNNEL_CONNECT_TIMEOUT';
  readonly side = 'upstream';
  override readonly retryable = true;

  constructor(address: string, timeoutMs: number) {
    super(
      `connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: no answer from ${address} within ${timeoutMs} ms`,
    );
  }
}

/** The tunnel's TCP connection was refused or broke before TLS began. */
export class TunnelConnectError extends MeshError {
  readonly code = 'TUNNEL_CONNECT';
  readonly side = 'upstream';
  override readonly retryable = true;

  constructor(address: string, options?: ErrorOptions) {
    super(`could not connect to ${address}`, options);
  }
}

/** The TLS handshake failed, or the peer is not who it must be. */
export class TunnelTlsError extends MeshError {
  readonly code = 'TUNNEL_TLS';
  readonly side = 'upstream';

  constructor(reason: string, options?: ErrorOptions) {
    super(`TLS: ${reason}`, options);
  }
}

/** The peer answered the CONNECT with something other than 200. */
export class ConnectStatusError extends MeshError {
  readonly code = 'CONNECT_STATUS';
  readonly side = 'upstream';
  readonly status: string;

  constructor(status: string) {
    super(`http status: ${status}`);
    this.status = status;
  }
}

/** Memory for applications that do not read is used up, and this connection held most of it. */
export class HeldTooMuchError extends MeshError {
  readonly code = 'HELD_TOO_MUCH';
  readonly side = 'upstream';

  constructor(bytes: number) {
    super(`closed with ${bytes} bytes that were not read: no more memory for them`);
  }
}

/** The application's own connection broke, in a way that is not how applications end connections. */
export class ApplicationSocketError extends MeshError {
  readonly code = 'APPLICATION_SOCKET';
  readonly side = 'downstream';

  constructor(errno: string) {
    super(`the application's connection broke: ${errno}`);
  }
}

/** Errors of an application's socket that are how applications end connections. */
const ENDINGS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ENOTCONN']);

/** What became of an application's connection that broke with `errno`; `undefined`: it just ended. */
export function brokenApplication(errno: string): ApplicationSocketError | undefined {
  return ENDINGS.has(errno) ? undefined : new ApplicationSocketError(errno);
}
