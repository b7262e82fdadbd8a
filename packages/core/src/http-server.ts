/**
 * A small HTTP server for admin pages, metrics and health: requests in, whole answers out.
 *
 * Everything about a request is bounded: headers by Node's own limit, bodies, time, connections. A handler that throws
 * is a 500 whose text is the message, since these ports are for operators.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { brotliCompress, createGzip, gzip } from 'node:zlib';
import { codeOf, MeshError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';
import { formatHostPort, parseIp } from './ip.ts';
import type { Service } from './service.ts';

/** Connections of one port at once. For one more the oldest ends: who holds them all keeps no probe from its answer. */
export const MAX_HTTP_CONNECTIONS = 256;
/** A request's body. */
export const MAX_HTTP_BODY_BYTES = 65_536;
/** From the first byte of a request to its last. */
export const HTTP_REQUEST_TIMEOUT_MS = 30_000;
/** Answers shorter than this are not worth compressing. */
export const MIN_COMPRESSED_BYTES = 1_024;
/** Of a body that is made while it is sent: what is made before others get their turn. Characters. */
const GATHERED_CHARS = 65_536;

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

/** A body that is made while it is sent, so that a long one holds up nothing and is nowhere whole. */
export interface PiecewiseBody {
  readonly pieces: Iterable<string>;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | PiecewiseBody;
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
  /** Oldest first. */
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
        this.#answer(request, response).catch((error: unknown) => {
          const path = request.url?.split('?')[0];
          this.#options.log.warn('answer failed', { server: this.name, path, error: messageOf(error) });
          response.destroy();
        });
      },
    );
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      const [oldest] = this.#sockets;
      if (this.#sockets.size <= MAX_HTTP_CONNECTIONS || !oldest) return;
      this.#sockets.delete(oldest);
      oldest.destroy();
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
    const { body } = response;
    const accepted = acceptedEncodings(incoming.headers['accept-encoding']);
    if (typeof body === 'object' && 'pieces' in body) {
      await sendPieces(outgoing, response, incoming.method === 'HEAD' ? [] : body.pieces, accepted);
      return;
    }
    const whole = await encoded(body, response.compress === true, accepted);
    outgoing.writeHead(response.status, {
      ...headersOf(response, whole.encoding),
      'content-length': whole.bytes.length,
    });
    outgoing.end(incoming.method === 'HEAD' ? undefined : whole.bytes);
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

function acceptedEncodings(accept: string | undefined): readonly string[] {
  return (accept ?? '').split(',').flatMap((part) => {
    const [name = '', weight] = part.trim().toLowerCase().split(';');
    return weight?.trim() === 'q=0' ? [] : [name];
  });
}

function headersOf({ headers }: HttpResponse, encoding: string | undefined): Record<string, string> {
  return {
    'content-type': 'text/plain; charset=utf-8',
    ...headers,
    ...(encoding === undefined ? {} : { 'content-encoding': encoding, vary: 'accept-encoding' }),
  };
}

async function encoded(
  body: string | Uint8Array,
  compress: boolean,
  accepted: readonly string[],
): Promise<{ readonly bytes: Buffer; readonly encoding: string | undefined }> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body);
  if (!compress || bytes.length < MIN_COMPRESSED_BYTES) return { bytes, encoding: undefined };
  if (accepted.includes('gzip')) return { bytes: await compressGzip(bytes), encoding: 'gzip' };
  if (accepted.includes('br')) return { bytes: await compressBrotli(bytes), encoding: 'br' };
  return { bytes, encoding: undefined };
}

/** As fast as the client reads. A client that goes away ends it. */
async function sendPieces(
  outgoing: ServerResponse,
  response: HttpResponse,
  pieces: Iterable<string>,
  accepted: readonly string[],
): Promise<void> {
  const encoding = response.compress && accepted.includes('gzip') ? 'gzip' : undefined;
  outgoing.writeHead(response.status, headersOf(response, encoding));
  const source = Readable.from(gathered(pieces), { objectMode: false });
  const sent = encoding ? pipeline(source, createGzip(), outgoing) : pipeline(source, outgoing);
  await sent.catch(() => outgoing.destroy());
}

async function* gathered(pieces: Iterable<string>): AsyncGenerator<string> {
  let text = '';
  for (const piece of pieces) {
    text += piece;
    if (text.length < GATHERED_CHARS) continue;
    yield text;
    text = '';
    await nextTurn();
  }
  if (text !== '') yield text;
}
