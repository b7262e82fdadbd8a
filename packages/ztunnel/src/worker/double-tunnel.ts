/**
 * A tunnel inside a tunnel, into another network: the outer one ends at its gateway, the inner one at the destination.
 *
 * The gateway passes the inner connection's bytes on and cannot read them. The inner tunnel serves one connection and ends
 * with it.
 */
import { connect as connectTls } from 'node:tls';
import type { Clock } from '@ambit/core/clock';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { ConnectStatusError, TunnelClosedError, TunnelTlsError } from '@ambit/hbone/errors';
import type { StreamResetError } from '@ambit/http/errors';
import { StreamDuplex } from '@ambit/http/h2/stream-duplex';
import { H2 } from '@ambit/http/h2/protocol';
import { H2Session } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import type { HeaderField } from '@ambit/http/hpack/encoder';
import { CLIENT_HEADER_LIST_BYTES, HANDSHAKE_TIMEOUT_MS } from '@ambit/hbone/limits';
import { poolKey } from '@ambit/hbone/pool';
import { DuplexTransport } from '@ambit/http/transport/duplex-transport';
import { clientTlsOptions, handshakeProblem } from '@ambit/identity/tls-context';
import type { Route } from '@ambit/model/decide/route';
import type { Workload } from '@ambit/model/workload';
import { ConnectAnswerError, unanswered } from './errors.ts';
import { CONNECT_ANSWER_TIMEOUT_MS } from './limits.ts';
import type { Pod } from './pod.ts';

export interface InnerTunnel extends Disposable {
  readonly session: H2Session;
  /** What the destination proved to be. */
  readonly identity: string;
}

export interface InnerTunnelRequest {
  readonly route: Route;
  readonly source: Workload;
  readonly clientIp: string;
  /** The request to the gateway. */
  readonly outer: readonly HeaderField[];
}

/** Rejects with what keeps either tunnel from being opened; then nothing of it is left. */
export async function openInnerTunnel(pod: Pod, request: InnerTunnelRequest): Promise<InnerTunnel> {
  const { certificates, session, tls: settings, clock } = pod.worker;
  const { route, source } = request;
  const certificate = await certificates.get(source.identity);
  const outer = await openOuterStream(pod, request);
  outer.on('error', () => undefined);
  const tls = connectTls({
    socket: outer,
    ...clientTlsOptions(certificate, settings),
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  tls.once('secureConnect', resolve);
  tls.on('error', (error) => reject(new TunnelTlsError(handshakeProblem(error), { cause: error })));
  const onClose = () => reject(new TunnelTlsError('the peer closed the connection during the handshake'));
  tls.once('close', onClose);
  const timer = clock.after(HANDSHAKE_TIMEOUT_MS, () =>
    reject(new TunnelTlsError(`no handshake within ${HANDSHAKE_TIMEOUT_MS} ms`)),
  );
  try {
    await promise;
    const verdict = pod.verifyServer(tls, route.innerIdentities);
    if (!verdict.ok) throw new TunnelTlsError(verdict.reason);
    const transport = new DuplexTransport(tls, formatHostPort(route.to.ip, route.to.port));
    tls.off('close', onClose);
    const inner = new H2Session(
      'client',
      transport,
      { onClosed: () => outer.destroy() },
      {
        ...session,
        headerListBytes: CLIENT_HEADER_LIST_BYTES,
      },
    );
    return { session: inner, identity: verdict.identity, [Symbol.dispose]: () => inner.destroy() };
  } catch (error) {
    tls.destroy();
    outer.destroy();
    throw error;
  } finally {
    timer.cancel();
  }
}

async function openOuterStream(pod: Pod, request: InnerTunnelRequest): Promise<StreamDuplex> {
  const { route, source, clientIp, outer } = request;
  const nextHop = formatHostPort(route.to.ip, route.to.port);
  const key = poolKey(source.identity, route.expectedIdentities, nextHop, clientIp);
  for (;;) {
    const session = pod.pool.take(key)?.session;
    if (session) return await openOuter(session, route.to, outer, pod.worker.clock);
    await pod.pool.get(key, (handler) => pod.openTunnel(source.identity, route, handler));
  }
}

async function openOuter(
  session: H2Session,
  to: Endpoint,
  fields: readonly HeaderField[],
  clock: Clock,
): Promise<StreamDuplex> {
  const { promise, resolve, reject } = Promise.withResolvers<StreamDuplex>();
  const stream = session.request(fields, new OuterOpening(resolve, reject));
  const timer = clock.after(CONNECT_ANSWER_TIMEOUT_MS, () => {
    stream.reset();
    reject(unanswered(session, to));
  });
  try {
    return await promise;
  } finally {
    timer.cancel();
  }
}

class OuterOpening implements StreamHandler {
  readonly #resolve: (duplex: StreamDuplex) => void;
  readonly #reject: (error: unknown) => void;

  constructor(resolve: (duplex: StreamDuplex) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onHeaders(stream: H2Stream, fields: HeaderFields): void {
    const status = fieldValue(fields, ':status') ?? '';
    if (status === '200') {
      this.#resolve(new StreamDuplex(stream));
      return;
    }
    stream.reset();
    this.#reject(new ConnectStatusError(status));
  }

  onEnd(): void {
    this.#reject(new TunnelClosedError('the gateway ended the stream before it answered'));
  }

  onReset(_stream: H2Stream, error: StreamResetError): void {
    this.#reject(error);
  }

  onData(stream: H2Stream): void {
    stream.reset(H2.protocolError);
    this.#reject(new ConnectAnswerError('data'));
  }

  onWritable(): void {}
}
