/** Makes connections that are not tunnels: plain TCP, and TLS over it. */
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { Socket } from 'node:net';
import type { Clock, Timer } from '@ambit/core/clock';
import { codeOf, MeshError, messageOf } from '@ambit/core/errors';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { PlainConnectionError, PlainTransport } from './plain-transport.ts';
import { TlsTransport } from './tls-transport.ts';

export interface Dial {
  readonly to: Endpoint;
  /** For TCP and TLS together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export interface TlsDial extends Dial {
  /** What the peer must prove, and what is offered to it, ALPN too. */
  readonly tls: ConnectionOptions;
  /** Looks at the peer right after the handshake; what it answers is why the peer is not the right one. */
  verify?(socket: TLSSocket): string | undefined;
}

/** The handshake failed, or the peer is not who it must be. */
export class TlsConnectionError extends MeshError {
  readonly code = 'TLS_CONNECTION';
  readonly side = 'upstream';
  override readonly retryable = true;

  constructor(peer: string, why: string, options?: ErrorOptions) {
    super(`TLS with ${peer}: ${why}`, options);
  }
}

/**
 * Connects, in clear.
 *
 * @throws {@link PlainConnectionError} `errno` says why; `ETIMEDOUT` also when the time is up.
 */
export function dialPlain({ to, timeoutMs, clock }: Dial): Promise<PlainTransport> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    let timer: Timer | undefined;
    const transport: PlainTransport = new PlainTransport({ to }, (error) => {
      timer?.cancel();
      if (error || isLate) reject(error ?? new PlainConnectionError(transport.peer, 'ETIMEDOUT', false));
      else resolve(transport);
    });
    timer = clock.after(timeoutMs, () => {
      isLate = true;
      transport.destroy();
    });
  });
}

/**
 * Connects, and shakes hands.
 *
 * @returns The protocol that both agreed upon, if they spoke of it.
 * @throws {@link PlainConnectionError} Nobody there.
 * @throws {@link TlsConnectionError} Somebody, but not one to talk to.
 */
export function dialTls(
  dial: TlsDial,
): Promise<{ readonly transport: TlsTransport; readonly protocol: string | undefined }> {
  const { to, timeoutMs, clock } = dial;
  const peer = formatHostPort(to.ip, to.port);
  return new Promise((resolve, reject) => {
    const tcp = new Socket({ allowHalfOpen: true });
    let isConnected = false;
    let tls: TLSSocket | undefined;
    const fail = (why: string, cause?: unknown) => {
      const error = isConnected
        ? new TlsConnectionError(peer, why, { cause })
        : new PlainConnectionError(peer, why, false);
      reject(error);
      timer.cancel();
      tcp.on('error', () => undefined);
      if (!tls) {
        tcp.destroy();
        return;
      }
      // Its own destroy closes both; to take the connection away from under it, within its event, crashes Node.
      tls.on('error', () => undefined);
      tls.destroy();
    };
    const timer = clock.after(timeoutMs, () =>
      fail(isConnected ? `no handshake within ${timeoutMs} ms` : 'ETIMEDOUT'),
    );
    const onTcpError = (error: Error) => fail(codeOf(error) ?? messageOf(error));
    tcp.once('error', onTcpError);
    tcp.setNoDelay(true);
    tcp.connect({ host: to.ip, port: to.port });
    tcp.once('connect', () => {
      isConnected = true;
      tcp.off('error', onTcpError);
      const secured = connectTls({ socket: tcp, ...dial.tls });
      tls = secured;
      const onError = (error: Error) => fail(messageOf(error), error);
      const onClose = () => fail('closed during the handshake');
      secured.once('error', onError).once('close', onClose);
      secured.once('secureConnect', () => {
        const problem = dial.verify?.(secured);
        if (problem !== undefined) {
          secured.off('close', onClose);
          fail(problem);
          return;
        }
        timer.cancel();
        secured.off('error', onError).off('close', onClose);
        resolve({ transport: new TlsTransport(secured), protocol: secured.alpnProtocol || undefined });
      });
    });
  });
}
