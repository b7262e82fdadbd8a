/**
 * As much of Zipkin's API as the demo needs: takes spans at `POST /api/v2/spans`, and gives those of one trace at
 * `GET /api/v2/trace/ID`.
 *
 * Argument: port to listen on.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

const MAX_BODY_BYTES = 1 << 20;
/** The oldest go first. */
const MAX_SPANS = 10_000;
const SPANS = '/api/v2/spans';
const TRACE = '/api/v2/trace/';

interface Span {
  readonly traceId: string;
}

const [port = '9411'] = process.argv.slice(2);
const spans: Span[] = [];

function take(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) request.destroy();
    else chunks.push(chunk);
  });
  request.on('end', () => {
    try {
      spans.push(...(JSON.parse(Buffer.concat(chunks).toString()) as readonly Span[]));
      spans.splice(0, Math.max(0, spans.length - MAX_SPANS));
      answer(response, 202, '');
    } catch {
      answer(response, 400, 'no list of spans');
    }
  });
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.end(text);
}

createServer((request, response) => {
  const { method, url = '' } = request;
  if (method === 'POST' && url === SPANS) return take(request, response);
  const trace = url.startsWith(TRACE) ? url.slice(TRACE.length) : '';
  const found = spans.filter(({ traceId }) => traceId === trace);
  return found.length > 0 ? answer(response, 200, JSON.stringify(found)) : answer(response, 404, 'no trace');
}).listen(Number(port));

process.once('SIGTERM', () => process.exit(0));
