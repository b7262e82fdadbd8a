/** Answers every request alike, over HTTP/1.1 or HTTP/2: what both sides of a comparison stand before. Argument: port. */
import { createServer } from 'node:net';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '@ambit/http/deadlines';
import type { BodyReceiver, ServerExchange } from '@ambit/http/exchange';
import { DEFAULT_HTTP1_SERVER_OPTIONS, DEFAULT_HTTP2_OPTIONS } from '@ambit/http/options';
import { serveHttp } from '@ambit/http/serve';
import { acceptHandles } from '@ambit/http/transport/native';
import { PlainTransport } from '@ambit/http/transport/plain-transport';

const BODY = Buffer.from('{"message":"hello from the backend"}\n');
const GRPC_MESSAGE = Buffer.from([0, 0, 0, 0, 5, 1, 2, 3, 4, 5]);
const FIELDS = [
  'content-type',
  'application/json',
  'content-length',
  String(BODY.length),
  'date',
  'Mon, 01 Jan 2024 00:00:00 GMT',
  'server',
  'backend',
];
const deadlines = new Deadlines(systemClock);

function onRequest(exchange: ServerExchange): BodyReceiver {
  const isGrpc = exchange.head.method === 'POST' && exchange.head.version === '2';
  const answer = () => {
    if (isGrpc) {
      exchange.respond({ status: 200, fields: ['content-type', 'application/grpc'] }, false);
      exchange.write(GRPC_MESSAGE);
      exchange.end(['grpc-status', '0', 'grpc-message', '']);
      return;
    }
    exchange.respond({ status: 200, fields: FIELDS }, false);
    exchange.write(BODY);
    exchange.end();
  };
  if (exchange.head.endsHere) answer();
  return { onData: (bytes) => exchange.credit(bytes.length), onEnd: answer, onAbort() {}, onWritable() {} };
}

const server = createServer();
server.listen(Number(process.argv[2] ?? ''), '127.0.0.1', () => {
  acceptHandles(
    server,
    (handle) =>
      void serveHttp(
        new PlainTransport(handle),
        { onRequest },
        {
          http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines },
          http2: { ...DEFAULT_HTTP2_OPTIONS, maxStreams: 1_000, deadlines, clock: systemClock },
        },
      ),
    () => undefined,
  );
});
