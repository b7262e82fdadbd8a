/**
 * A small HTTP server for admin pages, metrics and health: requests in, whole answers out.
 *
 * Everything about a request is bounded: headers by Node's own limit, bodies, time, connections. A handler that throws
 * is a 500 whose text is the message, since these ports are for operators.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { codeOf, MeshError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';
import { formatHostPort, parseIp } from './ip.ts';
import type { Service } from './service.ts';

/** Connections of one port at once. */
export const MAX_HTTP_CONNECTIONS = 256;
/** A request's body. */
export const MAX_HTTP_BODY_BYTES = 65_536;
/** From the first byte of a request to its last. */
export const HTTP_REQUEST_TIMEOUT_MS = 30_000;
/** Answers shorter than this are not worth compressing. */
export const MIN_COMPRESSED_BYTES = 1_024;

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Decoded by nobody: `/config_dump`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** The address that the request came from, canonical; absent when the connection is already gone. */
  readonly peerIp?: string | undefined;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** Compress for clients that accept it. */
  readonly compress?: boolean;
}

export type HttpHandler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

/** A port that could not be opened. */
export class BindError extends MeshError {
  readonly code = 'BIND';
  readonly side = 'internal';
  readonly address: string;

  constructor(what: string, address: string, cause: unknown) {
    const reason = codeOf(cause) === 'EADDRINUSE' ? 'address in use' : messageOf(cause);
    super(`cannot listen on ${address} for ${what}: ${reason}`, { cause });
    this.address = address;
  }
}

export interface HttpServerOptions {
  /** For errors and the log: `admin`. */
  readonly name: string;
  readonly handler: HttpHandler;
  /** IPs; all share one port. One that this machine does not have at all (`::1` without IPv6) is left out. */
  readonly hosts: readonly string[];
  /** 0: any, the same for all hosts. */
  readonly port: number;
  readonly log: Logger;
}

export class HttpServer implements Service {
  readonly name: string;
  readonly #options: HttpServerOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #port = 0;

  constructor(options: HttpServerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The port, once started. */
  get port(): number {
    return this.#port;
  }

  /** @throws {@link BindError} */
  async start(_signal: AbortSignal): Promise<void> {
    const { hosts, name } = this.#options;
    this.#port = this.#options.port;
    try {
      for (const host of hosts) await this.#listen(host);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    if (this.#servers.length === 0) {
      throw new BindError(name, hosts.join(', '), new Error('no such address on this machine'));
    }
  }

  /** Takes no more connections; resolves when the requests under way have been answered. */
  async drain(): Promise<void> {
    const closed = this.#servers.splice(0).map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
        }),
    );
    await Promise.all(closed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drained = this.drain();
    for (const socket of this.#sockets) socket.destroy();
    await drained;
  }

  async #listen(host: string): Promise<void> {
    const server = createServer(
      { requestTimeout: HTTP_REQUEST_TIMEOUT_MS, keepAliveTimeout: 5_000 },
      (request, response) => {
        void this.#answer(request, response);
      },
    );
    server.maxConnections = MAX_HTTP_CONNECTIONS;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port: this.#port, ipv6Only: host === '::1' }, resolve);
      });
    } catch (error) {
      const absent = codeOf(error) === 'EADDRNOTAVAIL' || codeOf(error) === 'EAFNOSUPPORT';
      if (absent && this.#options.hosts.length > 1) return;
      throw new BindError(this.name, formatHostPort(host, this.#port), error);
    }
    server.on('error', (error) =>
      this.#options.log.error('http server', { server: this.name, error: messageOf(error) }),
    );
    const address = server.address();
    if (typeof address === 'object' && address) this.#port = address.port;
    this.#servers.push(server);
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const gone = new AbortController();
    outgoing.once('close', () => gone.abort(new Error('the client went away')));
    outgoing.on('error', () => undefined);
    const response = await this.#handled(incoming, gone.signal);
    if (outgoing.destroyed) return;
    const { body, encoding } = await encoded(response, incoming.headers['accept-encoding']);
    outgoing.writeHead(response.status, {
      'content-type': 'text/plain; charset=utf-8',
      ...response.headers,
      ...(encoding === undefined ? {} : { 'content-encoding': encoding, vary: 'accept-encoding' }),
      'content-length': body.length,
    });
    outgoing.end(incoming.method === 'HEAD' ? undefined : body);
  }

  async #handled(incoming: IncomingMessage, signal: AbortSignal): Promise<HttpResponse> {
    const [path = '/', ...query] = (incoming.url ?? '/').split('?');
    try {
      const body = await readBody(incoming);
      if (!body) return { status: 413, body: `a body has at most ${MAX_HTTP_BODY_BYTES} bytes\n` };
      return await this.#options.handler({
        method: incoming.method ?? 'GET',
        path,
        query: new URLSearchParams(query.join('?')),
        headers: incoming.headers,
        body,
        peerIp: parseIp(incoming.socket.remoteAddress ?? ''),
        signal,
      });
    } catch (error) {
      this.#options.log.warn('request failed', { server: this.name, path, error: messageOf(error) });
      return { status: 500, body: `${messageOf(error)}\n` };
    }
  }
}

/** `undefined` when there is more of it than may be. */
async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_HTTP_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const compressGzip = promisify(gzip);
const compressBrotli = promisify(brotliCompress);

async function encoded(
  response: HttpResponse,
  accept: string | undefined,
): Promise<{ readonly body: Buffer; readonly encoding: string | undefined }> {
  const body = typeof response.body === 'string' ? Buffer.from(response.body) : Buffer.from(response.body);
  const accepted = (accept ?? '').split(',').flatMap((part) => {
    const [name = '', weight] = part.trim().toLowerCase().split(';');
    return weight?.trim() === 'q=0' ? [] : [name];
  });
  if (!response.compress || body.length < MIN_COMPRESSED_BYTES) return { body, encoding: undefined };
  if (accepted.includes('gzip')) return { body: await compressGzip(body), encoding: 'gzip' };
  if (accepted.includes('br')) return { body: await compressBrotli(body), encoding: 'br' };
  return { body, encoding: undefined };
}
