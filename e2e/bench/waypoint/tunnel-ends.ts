/**
 * Both ztunnels of a benchmark's path in one process: what clients say in clear goes to the waypoint in HBONE, and what the
 * waypoint sends in HBONE goes to the backend in clear. Argument: `{plain: {port: authority}, waypoint, hbone, backend}`, ports.
 */
import { createServer } from 'node:net';
import { systemClock } from '@ambit/core/clock';
import type { Endpoint } from '@ambit/core/ip';
import { openTunnel } from '@ambit/hbone/client';
import { acceptFields, connectFields } from '@ambit/hbone/headers';
import { TunnelPool } from '@ambit/hbone/pool';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { refuseStream, TunnelServer } from '@ambit/hbone/server';
import { newTraceparent } from '@ambit/hbone/trace-context';
import { TunnelPump } from '@ambit/hbone/tunnel-pump';
import { DEFAULT_SESSION_OPTIONS, type H2Session } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { acceptHandles, type TcpHandle } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { createFakeCa } from '@ambit/identity/fake-ca';
import {
  clientTlsOptions,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import { CLIENT_IDENTITY, ENDPOINT_IDENTITY, WAYPOINT_IDENTITY } from './names.ts';

interface Ports {
  readonly plain: Readonly<Record<string, string>>;
  readonly waypoint: number;
  readonly hbone: number;
  readonly backend: number;
}

const ports = JSON.parse(process.argv[2] ?? '') as Ports;
const ca = await createFakeCa({ clock: systemClock });
const [own, endpoint] = await Promise.all([
  ca.issueWorkload(CLIENT_IDENTITY),
  ca.issueWorkload(ENDPOINT_IDENTITY),
]);
const budget = new QueueBudget(256 * 1024 * 1024);
const session = { ...DEFAULT_SESSION_OPTIONS, maxStreams: 1_000, clock: systemClock };
const pool = new TunnelPool({
  clock: systemClock,
  maxStreams: 100,
  unusedReleaseMs: 300_000,
  budget,
  streamWindowBytes: session.streamWindowBytes,
});
const ignore = { onFinished: () => undefined };

/** An application's connection that waits for its stream. */
class Outbound implements PlainSocketEvents, StreamHandler {
  readonly #socket: PlainSocket;
  readonly #authority: string;

  constructor(handle: TcpHandle, authority: string) {
    this.#socket = new PlainSocket(handle, this);
    this.#authority = authority;
    const ready = pool.take('waypoint');
    if (ready) this.#begin(ready.session);
    else
      pool
        .get('waypoint', (handler) =>
          openTunnel(
            {
              to: { ip: '127.0.0.1', port: ports.waypoint },
              fd: undefined,
              tls: clientTlsOptions(own),
              verify: (socket) => verifyServerPeer(socket, [WAYPOINT_IDENTITY]),
              session,
            },
            handler,
          ),
        )
        .then(
          (tunnel) => this.#begin(tunnel.session),
          () => this.#socket.close(),
        );
  }

  #begin(tunnel: H2Session): void {
    const fields = connectFields({
      authority: this.#authority,
      baggage: '',
      client: this.#socket.peer(),
      host: undefined,
      traceparent: newTraceparent(),
      sourceNetwork: undefined,
    });
    tunnel.request(fields, this);
  }

  onHeaders(stream: H2Stream): void {
    new TunnelPump(stream, budget, ignore).attach(this.#socket);
  }
  onReset(): void {
    this.#socket.close();
  }
  onData(): void {}
  onEnd(): void {}
  onWritable(): void {}
  onPlainData(): void {}
  onPlainEnd(): void {}
  onPlainWritten(): void {}
  onPlainError(): void {}
}

/** A stream that waits for its connection to the backend. */
class Inbound implements PlainSocketEvents {
  readonly pump: TunnelPump;
  readonly #stream: H2Stream;
  readonly #socket: PlainSocket;

  constructor(stream: H2Stream, to: Endpoint) {
    this.#stream = stream;
    this.pump = new TunnelPump(stream, budget, ignore);
    this.#socket = new PlainSocket({ fd: undefined, to }, this);
  }

  onPlainConnected(): void {
    this.#stream.respond(acceptFields(''), false);
    this.pump.attach(this.#socket);
  }
  onPlainError(): void {
    refuseStream(this.#stream, 503);
  }
  onPlainData(): void {}
  onPlainEnd(): void {}
  onPlainWritten(): void {}
}

const server = new TunnelServer({
  session,
  budget,
  tls: () => Promise.resolve(serverTlsOptions(endpoint)),
  verify: (socket) => verifyClientPeer(socket, ['cluster.local']),
  onRefused: (_peer, _local, error) => void process.stderr.write(`${error.message}\n`),
  onStream: (_tunnel, stream) => new Inbound(stream, { ip: '127.0.0.1', port: ports.backend }).pump,
});

function listen(port: number, onHandle: (handle: TcpHandle) => void): void {
  const listener = createServer();
  listener.listen(port, '127.0.0.1', () => acceptHandles(listener, onHandle, () => undefined));
}

listen(ports.hbone, (handle) => server.accept(handle));
for (const [port, authority] of Object.entries(ports.plain)) {
  listen(Number(port), (handle) => void new Outbound(handle, authority));
}
