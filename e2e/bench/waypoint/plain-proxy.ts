/**
 * A proxy made of packages/http alone: what the waypoint stands on, without what it decides. Arguments: what to speak with the
 * backend by own port (`{"19001": "1.1"}`), and the backend's port.
 */
import { createServer } from 'node:net';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '@ambit/http/deadlines';
import type { BodyReceiver, HttpClientConnection, ServerExchange } from '@ambit/http/exchange';
import { connectHttp1 } from '@ambit/http/h1/client';
import { connectHttp2 } from '@ambit/http/h2/client';
import {
  DEFAULT_HTTP1_OPTIONS,
  DEFAULT_HTTP1_SERVER_OPTIONS,
  DEFAULT_HTTP2_CLIENT_OPTIONS,
  DEFAULT_HTTP2_OPTIONS,
} from '@ambit/http/options';
import { serveHttp } from '@ambit/http/serve';
import { forward } from '@ambit/http/testing/forward';
import { dialPlain } from '@ambit/http/transport/dial';
import { acceptHandles } from '@ambit/http/transport/native';
import { PlainTransport } from '@ambit/http/transport/plain-transport';

type Version = '1.1' | '2';

const [listen = '', backendPort = ''] = process.argv.slice(2);
const clock = systemClock;
const deadlines = new Deadlines(clock);
const serverOptions = {
  http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines },
  http2: { ...DEFAULT_HTTP2_OPTIONS, deadlines, clock },
};

/** Connections with the backend: of HTTP/1.1 those without an exchange, of HTTP/2 the one there is. */
class Pool {
  readonly #version: Version;
  readonly #ready: HttpClientConnection[] = [];

  constructor(version: Version) {
    this.#version = version;
  }

  take(): HttpClientConnection | undefined {
    if (this.#version === '2') return this.#ready[0]?.canRequest === true ? this.#ready[0] : undefined;
    for (;;) {
      const connection = this.#ready.pop();
      if (!connection || connection.canRequest) return connection;
    }
  }

  async connect(): Promise<HttpClientConnection> {
    const to = { ip: '127.0.0.1', port: Number(backendPort) };
    const transport = await dialPlain({ to, timeoutMs: 5_000, clock });
    if (this.#version === '2') {
      const options = { ...DEFAULT_HTTP2_CLIENT_OPTIONS, maxExchanges: 1_000, deadlines, clock };
      const connection = connectHttp2(transport, {}, options);
      this.#ready[0] = connection;
      return connection;
    }
    const onChange = () => this.#ready.push(connection);
    const connection = connectHttp1(transport, { onChange }, { ...DEFAULT_HTTP1_OPTIONS, deadlines });
    return connection;
  }
}

/** A request whose connection is being made: its events wait. */
class Waiting implements BodyReceiver {
  #receiver: BodyReceiver | undefined;
  readonly #events: ((receiver: BodyReceiver) => void)[] = [];

  constructor(exchange: ServerExchange, pool: Pool) {
    pool.connect().then(
      (connection) => {
        this.#receiver = forward(exchange, connection);
        for (const event of this.#events) event(this.#receiver);
      },
      () => exchange.respond({ status: 503, fields: [] }, true),
    );
  }

  onData(bytes: Buffer): void {
    const copy = this.#receiver ? bytes : Buffer.from(bytes);
    this.#do((receiver) => receiver.onData(copy));
  }

  onEnd(trailers: readonly string[] | undefined): void {
    this.#do((receiver) => receiver.onEnd(trailers));
  }

  onAbort(error: Parameters<BodyReceiver['onAbort']>[0]): void {
    this.#do((receiver) => receiver.onAbort(error));
  }

  onWritable(): void {
    this.#do((receiver) => receiver.onWritable());
  }

  #do(event: (receiver: BodyReceiver) => void): void {
    if (this.#receiver) event(this.#receiver);
    else this.#events.push(event);
  }
}

for (const [port, version] of Object.entries(JSON.parse(listen) as Record<string, Version>)) {
  const pool = new Pool(version);
  const handler = {
    onRequest(exchange: ServerExchange): BodyReceiver {
      const connection = pool.take();
      return connection ? forward(exchange, connection) : new Waiting(exchange, pool);
    },
  };
  const server = createServer();
  server.listen(Number(port), '127.0.0.1', () => {
    acceptHandles(
      server,
      (handle) => void serveHttp(new PlainTransport(handle), handler, serverOptions),
      () => undefined,
    );
  });
}
