/** HTTP/1.1, HTTP/2, both over TLS, and WebSocket: every path describes server and client, but for a few that probe or misbehave. */
import { once } from 'node:events';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import {
  createSecureServer,
  createServer as createHttp2Server,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import { describe, MAX_PATHS_COUNTED, type Self } from '../about.ts';
import { ALLOW_HEADER, AUTHORIZED_BY } from './authorizer.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { TlsDescription } from '../messages.ts';

/** Longer than any client here is idle: a server that hangs up first would be taken for a mesh that did. */
const KEEP_ALIVE_MS = 600_000;
const MAX_WEBSOCKET_MESSAGE_BYTES = 1024 * 1024;
const MAX_DELAY_MS = 60_000;
/** What the variable DOCUMENT says, as it is. */
const DOCUMENT_PATH = '/document';
const AUTHORIZE_PATH = '/authorize';

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

export async function serveHttp(
  self: Self,
  lifecycle: Lifecycle,
  port: number,
  host: string,
): Promise<HttpServer> {
  const server = createHttpServer((request, response) => {
    void answer(self, lifecycle, request, response, `HTTP/${request.httpVersion}`);
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  serveWebSocket(self, server);
  server.listen(port, host);
  await once(server, 'listening');
  lifecycle.onEnd(async () => {
    server.closeIdleConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return server;
}

export async function serveHttp2(self: Self, lifecycle: Lifecycle, port: number): Promise<Http2Server> {
  const server = createHttp2Server((request, response) => {
    void answer(self, lifecycle, request, response, 'HTTP/2');
  });
  await serveSessions(server, lifecycle, port);
  return server;
}

/** All in PEM. */
export interface ServerTls {
  readonly certificate: string;
  readonly key: string;
  /** Who signs certificates of clients, which they must have then. */
  readonly clientCa: string | undefined;
}

/** HTTP/1.1 and HTTP/2, as the client would have it. */
export async function serveHttps(
  self: Self,
  lifecycle: Lifecycle,
  port: number,
  { certificate: cert, key, clientCa }: ServerTls,
): Promise<Http2SecureServer> {
  const clients = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  const server = createSecureServer({ cert, key, allowHTTP1: true, ...clients }, (request, response) => {
    const protocol = request.httpVersionMajor === 2 ? 'HTTP/2' : `HTTP/${request.httpVersion}`;
    void answer(self, lifecycle, request, response, protocol);
  });
  // Who does not like the certificate, or has none, is the suite's to tell.
  server.on('tlsClientError', () => {});
  await serveSessions(server, lifecycle, port);
  return server;
}

async function serveSessions(
  server: Http2Server | Http2SecureServer,
  lifecycle: Lifecycle,
  port: number,
): Promise<void> {
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
  });
  server.listen(port, '::');
  await once(server, 'listening');
  lifecycle.onDrain(() => {
    for (const session of sessions) session.close();
  });
  lifecycle.onEnd(async () => {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
}

async function answer(
  self: Self,
  lifecycle: Lifecycle,
  request: Request,
  response: Response,
  protocol: string,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://echo');
  const timesAsked = countOf(self, url.pathname);
  const amiss = url.pathname === '/ready' ? undefined : self.amiss;
  const delayMs = Math.min(Number(url.searchParams.get('delayMs') ?? amiss?.delayMs ?? 0), MAX_DELAY_MS);
  if (delayMs > 0) await sleep(delayMs);
  // A client that learns of the end from its answer opens its next connection elsewhere.
  if (lifecycle.draining && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
  response.statusCode = amiss?.status || statusFor(url, request, lifecycle);
  response.setHeader('content-type', 'application/json');
  if (url.pathname === DOCUMENT_PATH) {
    response.end(process.env['DOCUMENT'] ?? '{}');
    return;
  }
  if (url.pathname.startsWith(AUTHORIZE_PATH)) response.setHeader(AUTHORIZED_BY, self.pod);
  response.end(
    JSON.stringify({
      ...describe(self, request.socket.remoteAddress, protocol),
      headers: headersOf(request),
      authority: 'authority' in request ? request.authority : (request.headers.host ?? ''),
      path: request.url ?? '',
      timesAsked,
      tls: tlsOf(request),
    }),
  );
}

function countOf({ timesAsked }: Self, path: string): number {
  const count = (timesAsked.get(path) ?? 0) + 1;
  if (count > 1 || timesAsked.size < MAX_PATHS_COUNTED) timesAsked.set(path, count);
  return count;
}

function tlsOf(request: Request): TlsDescription | undefined {
  const socket = 'stream' in request ? request.stream.session?.socket : request.socket;
  if (!(socket instanceof TLSSocket)) return undefined;
  const { CN: name } = socket.getPeerCertificate().subject ?? {};
  return {
    serverName: socket.servername || '',
    alpn: socket.alpnProtocol || '',
    client: [name ?? ''].flat().join(),
  };
}

function headersOf({ headers }: Request): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

/** `/ready` follows the lifecycle, `/status/CODE` answers with that code, `/authorize/…` as an authorizer does. */
function statusFor({ pathname }: URL, { headers }: Request, lifecycle: Lifecycle): number {
  if (pathname === '/ready') return lifecycle.draining ? 503 : 200;
  if (pathname.startsWith(AUTHORIZE_PATH)) return headers[ALLOW_HEADER] === 'yes' ? 200 : 403;
  const code = Number(/^\/status\/(\d{3})$/.exec(pathname)?.[1] ?? 200);
  return code >= 200 && code <= 599 ? code : 400;
}

/** Describes itself first, then returns what it is sent. */
function serveWebSocket(self: Self, server: HttpServer): void {
  const sockets = new WebSocketServer({ server, maxPayload: MAX_WEBSOCKET_MESSAGE_BYTES });
  sockets.on('connection', (socket, request) => {
    socket.on('error', () => socket.terminate());
    const description = describe(self, request.socket.remoteAddress, 'WebSocket');
    socket.send(JSON.stringify({ ...description, headers: headersOf(request) }));
    socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
  });
}
