/** What can go wrong in a tunnel. The codes label logs and metrics and never change meaning. */
import { MeshError } from '@ambit/core/errors';
import { H2, h2CodeName } from './h2/protocol.ts';

/** A header block that is not valid HPACK: always the end of its connection. */
export class HpackError extends MeshError {
  readonly code = 'HPACK';
  readonly side = 'downstream';

  constructor(message: string) {
    super(`invalid header block: ${message}`);
  }
}

/** The peer broke HTTP/2, or a limit of ours: the whole connection ends with GOAWAY. */
export class H2ConnectionError extends MeshError {
  readonly code = 'H2_CONNECTION';
  readonly side = 'downstream';
  readonly h2Code: number;

  constructor(h2Code: number, message: string, options?: ErrorOptions) {
    super(`${h2CodeName(h2Code)}: ${message}`, options);
    this.h2Code = h2Code;
  }
}

/** One stream broke a rule: it alone is reset. */
export class H2StreamError extends MeshError {
  readonly code = 'H2_STREAM';
  readonly side = 'downstream';
  readonly h2Code: number;

  constructor(h2Code: number, message: string) {
    super(`${h2CodeName(h2Code)}: ${message}`);
    this.h2Code = h2Code;
  }
}

/** The stream ended before both sides had finished with it. */
export class StreamResetError extends MeshError {
  readonly code = 'STREAM_RESET';
  readonly side = 'upstream';
  readonly h2Code: number;

  constructor(h2Code: number, by: 'peer' | 'us' | 'connection', options?: ErrorOptions) {
    const who =
      by === 'peer' ? 'the peer reset the stream' : by === 'us' ? 'stream reset' : 'the tunnel broke';
    super(`${who}: ${h2CodeName(h2Code)}`, options);
    this.h2Code = h2Code;
  }

  /** An end that the peer meant: read as end of data (hbone: NO_ERROR and CANCEL). */
  get isClean(): boolean {
    return this.h2Code === H2.noError || this.h2Code === H2.cancel;
  }
}

/** The tunnel's connection ended, or will take no more streams. No byte of this stream was sent. */
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
