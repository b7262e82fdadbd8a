/** For tests: applications on loopback, in clear or behind a tunnel as a node's ztunnel ends it for them. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '@ambit/core/clock';
import type { Endpoint } from '@ambit/core/ip';
import { parseHostPort } from '@ambit/core/ip';
import { acceptFields } from '@ambit/hbone/headers';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { refuseStream, TunnelServer } from '@ambit/hbone/server';
import { TunnelPump } from '@ambit/hbone/tunnel-pump';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import type { H2Stream } from '@ambit/http/h2/stream';
import { fieldValue } from '@ambit/http/header-fields';
import { acceptHandles } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { serverTlsOptions, verifyClientPeer } from '@ambit/identity/tls-context';

export interface Backend extends AsyncDisposable {
  readonly ip: string;
  readonly port: number;
  /** Connections that it has seen. */
  readonly connections: number;
  /** Resets every connection that is open now. */
  cut(): void;
}

/** An application that speaks HTTP/1.1. */
export async function httpBackend(ip: string, handler: RequestListener): Promise<Backend> {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, handler);
  return await listening(server, ip);
}

/** An application that speaks HTTP/2 without TLS. */
export async function http2Backend(
  ip: string,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<Backend> {
  const server = createHttp2Server();
  server.on('stream', onStream);
  server.on('session', (session) => session.on('error', () => undefined));
  return await listening(server, ip);
}

/** An application that speaks whatever `onConnection` does. */
export async function tcpBackend(ip: string, onConnection: (socket: Socket) => void): Promise<Backend> {
  const server = createServer({ allowHalfOpen: true }, onConnection);
  return await listening(server, ip);
}

async function listening(server: HttpServer | Http2Server | Server, ip: string): Promise<Backend> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, ip);
  await once(server, 'listening');
  const cut = () => {
    for (const socket of [...sockets]) socket.resetAndDestroy();
  };
  return {
    ip,
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    cut,
    async [Symbol.asyncDispose]() {
      server.close();
      cut();
      await Promise.resolve();
    },
  };
}

export interface Node extends AsyncDisposable {
  readonly port: number;
  /** Authorities of the streams that it has carried. */
  readonly carried: readonly string[];
  /** What the last of them said of the client. */
  readonly told: string;
  /** Identities of the clients that opened tunnels. */
  readonly peers: ReadonlySet<string>;
  readonly openTunnels: number;
  /** What CONNECT is answered with, if not by connecting. */
  refuseWith: number | undefined;
  /** Takes no more tunnels, and ends those that are open. */
  drain(): Promise<void>;
}

/** Takes tunnels for the application at `ip`, as its node's ztunnel does, at `port` (0: any) of that address. */
export async function startNode(ip: string, identity: string, port: number): Promise<Node> {
  const ca = await createFakeCa({ clock: systemClock });
  const certificate = await ca.issueWorkload(identity);
  const budget = new QueueBudget(64 * 1024 * 1024);
  const carried: string[] = [];
  const peers = new Set<string>();
  const node = { refuseWith: undefined as number | undefined, told: '' };
  const server = new TunnelServer({
    session: { ...DEFAULT_SESSION_OPTIONS, clock: systemClock },
    budget,
    tls: () => Promise.resolve(serverTlsOptions(certificate)),
    verify: (socket) => verifyClientPeer(socket, ['cluster.local']),
    onRefused: () => undefined,
    onStream: (tunnel, stream, fields) => {
      const authority = fieldValue(fields, ':authority') ?? '';
      carried.push(authority);
      node.told = fieldValue(fields, 'baggage') ?? '';
      peers.add(tunnel.identity);
      const to = parseHostPort(authority);
      if (!to || node.refuseWith !== undefined) {
        refuseStream(stream, node.refuseWith ?? 400);
        return stream.handler;
      }
      return new Carried(stream, to, budget).pump;
    },
  });
  const listener = createServer();
  listener.listen(port, ip);
  await once(listener, 'listening');
  acceptHandles(
    listener,
    (handle) => server.accept(handle),
    () => undefined,
  );
  return {
    port: (listener.address() as AddressInfo).port,
    carried,
    peers,
    get told() {
      return node.told;
    },
    get openTunnels() {
      return server.openTunnels;
    },
    get refuseWith() {
      return node.refuseWith;
    },
    set refuseWith(status) {
      node.refuseWith = status;
    },
    async drain() {
      listener.close();
      await server.drain();
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      server.destroy();
      await Promise.resolve();
    },
  };
}

class Carried implements PlainSocketEvents {
  readonly pump: TunnelPump;
  readonly #stream: H2Stream;
  readonly #socket: PlainSocket;

  constructor(stream: H2Stream, to: Endpoint, budget: QueueBudget) {
    this.#stream = stream;
    this.pump = new TunnelPump(stream, budget, { onFinished: () => undefined });
    this.#socket = new PlainSocket({ to }, this);
  }

  onPlainConnected() {
    this.#stream.respond(acceptFields(''), false);
    this.pump.attach(this.#socket);
  }

  onPlainError() {
    refuseStream(this.#stream, 503);
  }
  onPlainData() {}
  onPlainEnd() {}
  onPlainWritten() {}
}
