/** A proxy made of packages/http alone: what the waypoint stands on, without what it decides. Arguments: own port, backend's port, `1.1` or `2` for the backend. */
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

const [port = '', backendPort = '', version = '1.1'] = process.argv.slice(2);
const clock = systemClock;
const deadlines = new Deadlines(clock);
const serverOptions = {
  http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines },
  http2: { ...DEFAULT_HTTP2_OPTIONS, deadlines, clock },
};
/** HTTP/1.1: those without an exchange; HTTP/2: the one there is. */
const idle: HttpClientConnection[] = [];

const handler = {
  onRequest(exchange: ServerExchange): BodyReceiver {
    const connection = take();
    return connection ? carry(exchange, connection) : new Waiting(exchange);
  },
};

function take(): HttpClientConnection | undefined {
  if (version === '2') return idle[0]?.canRequest === true ? idle[0] : undefined;
  for (;;) {
    const connection = idle.pop();
    if (!connection || connection.canRequest) return connection;
  }
}

function carry(exchange: ServerExchange, connection: HttpClientConnection): BodyReceiver {
  return forward(exchange, connection);
}

async function connect(): Promise<HttpClientConnection> {
  const to = { ip: '127.0.0.1', port: Number(backendPort) };
  const transport = await dialPlain({ to, timeoutMs: 5_000, clock });
  if (version === '2') {
    const connection = connectHttp2(
      transport,
      {},
      { ...DEFAULT_HTTP2_CLIENT_OPTIONS, maxExchanges: 1_000, deadlines, clock },
    );
    idle[0] = connection;
    return connection;
  }
  const connection: HttpClientConnection = connectHttp1(
    transport,
    { onChange: () => idle.push(connection) },
    { ...DEFAULT_HTTP1_OPTIONS, deadlines },
  );
  return connection;
}

/** A request whose connection is being made: its events wait. */
class Waiting implements BodyReceiver {
  #receiver: BodyReceiver | undefined;
  readonly #events: ((receiver: BodyReceiver) => void)[] = [];

  constructor(exchange: ServerExchange) {
    connect().then(
      (connection) => {
        this.#receiver = carry(exchange, connection);
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

const server = createServer();
server.listen(Number(port), '127.0.0.1', () => {
  acceptHandles(
    server,
    (handle) => void serveHttp(new PlainTransport(handle), handler, serverOptions),
    () => undefined,
  );
  process.stdout.write('ready\n');
});
