/**
 * For tests: two proxies on loopback with a real tunnel between them, as a node's outbound and inbound are.
 *
 * An application connects to `port`; its bytes travel plain → TLS tunnel → plain to `target`.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { systemClock } from '@ambit/core/clock';
import type { TLSSocket } from 'node:tls';
import type { Endpoint } from '@ambit/core/ip';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import {
  clientTlsOptions,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import { openTunnel, type Tunnel } from '../client.ts';
import { DEFAULT_SESSION_OPTIONS, type SessionOptions } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue } from '@ambit/http/header-fields';
import { acceptFields, connectFields } from '../headers.ts';
import * as limits from '../limits.ts';
import { poolKey, TunnelPool } from '../pool.ts';
import { QueueBudget } from '../queue-budget.ts';
import { refuseStream, TunnelServer } from '../server.ts';
import { acceptHandles, type TcpHandle } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { newTraceparent } from '../trace-context.ts';
import { TunnelPump } from '../tunnel-pump.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const BOB = 'spiffe://td/ns/shop/sa/bob';

export interface ProxiedPath extends AsyncDisposable {
  /** Where applications connect. */
  readonly port: number;
  readonly tunnelPort: number;
  readonly pool: TunnelPool;
  readonly server: TunnelServer;
  readonly outboundBudget: QueueBudget;
  readonly inboundBudget: QueueBudget;
  /** Outcomes of finished connections, as their proxies saw them. */
  readonly finished: { side: 'outbound' | 'inbound'; error: Error | undefined; up: number; down: number }[];
}

export interface PathOptions {
  readonly session?: Partial<SessionOptions>;
  readonly budgetBytes?: number;
  /** Both ends of a tunnel, when each has seen whom it speaks to. */
  readonly onSecured?: (socket: TLSSocket) => void;
}

export async function listenHandles(
  onHandle: (handle: TcpHandle) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  acceptHandles(server, onHandle, () => undefined);
  return { server, port: (server.address() as AddressInfo).port };
}

export async function proxiedPath(target: Endpoint, over: PathOptions = {}): Promise<ProxiedPath> {
  const ca = await createSelfSignedCa({ clock: systemClock });
  const [alice, bob] = await Promise.all([ca.issueWorkload(ALICE), ca.issueWorkload(BOB)]);
  const session: SessionOptions = { ...DEFAULT_SESSION_OPTIONS, clock: systemClock, ...over.session };
  const finished: ProxiedPath['finished'] = [];
  const inboundBudget = new QueueBudget(over.budgetBytes ?? limits.QUEUED_BYTES_PER_POD);
  const outboundBudget = new QueueBudget(over.budgetBytes ?? limits.QUEUED_BYTES_PER_POD);

  const server = new TunnelServer({
    session,
    budget: inboundBudget,
    tls: () => Promise.resolve(serverTlsOptions(bob)),
    verify: (socket) => {
      over.onSecured?.(socket);
      return verifyClientPeer(socket, ['td']);
    },
    onRefused: () => undefined,
    onStream: (_tunnel, stream, fields) => {
      if (fieldValue(fields, ':method') !== 'CONNECT') {
        refuseStream(stream, 400);
        return stream.handler;
      }
      return new Inbound(stream, target, inboundBudget, finished).pump;
    },
  });
  const tunnels = await listenHandles((handle) => server.accept(handle));

  const pool = new TunnelPool({
    clock: systemClock,
    maxStreams: limits.POOL_STREAMS_PER_CONNECTION,
    unusedReleaseMs: limits.POOL_UNUSED_RELEASE_MS,
    budget: outboundBudget,
    streamWindowBytes: session.streamWindowBytes,
  });
  const to = { ip: '127.0.0.1', port: tunnels.port };
  const key = poolKey(ALICE, [BOB], `127.0.0.1:${tunnels.port}`, '127.0.0.1');
  const open = (handler: { onClosed(error: Error | undefined): void }): Promise<Tunnel> =>
    openTunnel(
      {
        to,
        fd: undefined,
        tls: clientTlsOptions(alice),
        verify: (socket) => {
          over.onSecured?.(socket);
          return verifyServerPeer(socket, [BOB]);
        },
        session,
      },
      handler,
    );
  const applications = await listenHandles((handle) => {
    const outbound = new Outbound(handle, outboundBudget, finished);
    const tunnel = pool.take(key);
    if (tunnel) outbound.begin(tunnel);
    else
      pool.get(key, open).then(
        (opened) => outbound.begin(opened),
        () => outbound.socket.close(),
      );
  });

  return {
    port: applications.port,
    tunnelPort: tunnels.port,
    pool,
    server,
    outboundBudget,
    inboundBudget,
    finished,
    async [Symbol.asyncDispose]() {
      pool.close('destroy');
      server.destroy();
      tunnels.server.close();
      applications.server.close();
      await Promise.resolve();
    },
  };
}

class Outbound implements PlainSocketEvents, StreamHandler {
  readonly socket: PlainSocket;
  readonly #budget: QueueBudget;
  readonly #finished: ProxiedPath['finished'];

  constructor(handle: TcpHandle, budget: QueueBudget, finished: ProxiedPath['finished']) {
    this.socket = new PlainSocket(handle, this);
    this.#budget = budget;
    this.#finished = finished;
  }

  begin({ session }: Tunnel): void {
    const headers = {
      authority: '10.0.0.2:80',
      baggage: 'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=alice',
      client: this.socket.peer(),
      host: 'bob.shop.svc.cluster.local',
      traceparent: newTraceparent(),
      sourceNetwork: undefined,
    };
    session.request(connectFields(headers), this);
  }

  onHeaders(stream: H2Stream, fields: readonly string[]) {
    if (fieldValue(fields, ':status') !== '200') {
      stream.reset();
      this.socket.close();
      return;
    }
    const pump = new TunnelPump(stream, this.#budget, {
      onFinished: (error) =>
        this.#finished.push({ side: 'outbound', error, up: pump.bytesUp, down: pump.bytesDown }),
    });
    pump.attach(this.socket);
  }

  onData() {}
  onEnd() {}
  onReset() {
    this.socket.close();
  }
  onWritable() {}
  onPlainData() {}
  onPlainEnd() {}
  onPlainWritten() {}
  onPlainError() {}
}

class Inbound implements PlainSocketEvents {
  readonly pump: TunnelPump;
  readonly #stream: H2Stream;
  readonly #socket: PlainSocket;

  constructor(stream: H2Stream, to: Endpoint, budget: QueueBudget, finished: ProxiedPath['finished']) {
    this.#stream = stream;
    this.pump = new TunnelPump(stream, budget, {
      onFinished: (error) =>
        finished.push({ side: 'inbound', error, up: this.pump.bytesUp, down: this.pump.bytesDown }),
    });
    this.#socket = new PlainSocket({ to }, this);
  }

  onPlainConnected() {
    this.#stream.respond(acceptFields('k8s.cluster.name=Kubernetes,k8s.namespace.name=shop'), false);
    this.pump.attach(this.#socket);
  }

  onPlainError() {
    refuseStream(this.#stream, 503);
  }
  onPlainData() {}
  onPlainEnd() {}
  onPlainWritten() {}
}
