/**
 * For tests: a client as its node's ztunnel makes it, with a tunnel to the waypoint; what is in the tunnel is spoken by
 * Node's own HTTP, so that nobody agrees with himself.
 */
import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { Duplex } from 'node:stream';
import { systemClock } from '@ambit/core/clock';
import { openTunnel, type Tunnel } from '@ambit/hbone/client';
import { StreamDuplex } from '@ambit/http/h2/stream-duplex';
import { ConnectStatusError } from '@ambit/hbone/errors';
import { connectFields } from '@ambit/hbone/headers';
import { newTraceparent } from '@ambit/hbone/trace-context';
import { DEFAULT_SESSION_OPTIONS, type SessionOptions } from '@ambit/http/h2/session';
import { fieldValue } from '@ambit/http/header-fields';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { clientTlsOptions, verifyServerPeer } from '@ambit/identity/tls-context';

export interface ClientResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: NodeJS.Dict<string>;
}

export interface ClientRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
}

export class Client implements Disposable {
  /** What connections from now on say of the client. */
  tells: { readonly baggage: string; readonly sourceNetwork?: string } = { baggage: '' };
  /** What the last answer to a connection said of the waypoint. */
  told = '';
  readonly #tunnel: Tunnel;
  readonly #agents = new Map<string, Agent>();
  readonly #sessions: ClientHttp2Session[] = [];

  constructor(tunnel: Tunnel) {
    this.#tunnel = tunnel;
  }

  get isTunnelOpen(): boolean {
    return this.#tunnel.session.isOpen;
  }

  /** What an application's connection to `authority` becomes. @throws {@link ConnectStatusError} */
  async connect(authority: string): Promise<Duplex> {
    const headers = {
      authority,
      baggage: this.tells.baggage,
      client: { ip: '10.1.0.1', port: 4242 },
      host: undefined,
      traceparent: newTraceparent(),
      sourceNetwork: this.tells.sourceNetwork,
    };
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    this.#tunnel.session.request(connectFields(headers), {
      onHeaders: (stream, fields) => {
        const status = fieldValue(fields, ':status') ?? '';
        this.told = fieldValue(fields, 'baggage') ?? '';
        if (status === '200') resolve(new StreamDuplex(stream).on('error', () => undefined));
        else reject(new ConnectStatusError(status));
      },
      onData: () => undefined,
      onEnd: () => undefined,
      onReset: (_stream, error) => reject(error),
      onWritable: () => undefined,
    });
    return await promise;
  }

  /** One request of HTTP/1.1; connections are kept between requests. */
  async request(authority: string, options: ClientRequest = {}): Promise<ClientResponse> {
    const response = await this.open(authority, options);
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: Buffer.concat(chunks).toString(),
      trailers: response.trailers,
    };
  }

  /** A connection of HTTP/2, by Node's own client. */
  async http2(authority: string): Promise<ClientHttp2Session> {
    const duplex = await this.connect(authority);
    const session = connectHttp2('http://app.test', { createConnection: () => duplex });
    session.on('error', () => undefined);
    this.#sessions.push(session);
    return session;
  }

  /** The response as soon as its head is here. */
  async open(authority: string, options: ClientRequest = {}): Promise<IncomingMessage> {
    const { method = 'GET', path = '/', headers = {}, body } = options;
    const agent = await this.#agentFor(authority);
    const request = httpRequest({ agent, method, path, headers: { host: 'app.test', ...headers } });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    request.end(body);
    const [response] = await answered;
    return response;
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy();
    for (const session of this.#sessions) session.destroy();
    this.#tunnel.session.destroy();
  }

  async #agentFor(authority: string): Promise<Agent> {
    const known = this.#agents.get(authority);
    if (known) return known;
    const agent = new Agent({ keepAlive: true });
    agent.createConnection = (_options, connected) => {
      this.connect(authority).then(
        (duplex) => connected?.(null, asSocket(duplex)),
        (error: Error) => connected?.(error, undefined as never),
      );
      return undefined;
    };
    this.#agents.set(authority, agent);
    return await Promise.resolve(agent);
  }
}

/** What Node's agent expects of a socket besides what any Duplex has. */
function asSocket(duplex: Duplex): Duplex {
  return Object.assign(duplex, {
    setKeepAlive: () => duplex,
    setNoDelay: () => duplex,
    setTimeout: () => duplex,
    ref: () => duplex,
    unref: () => duplex,
  });
}

export interface ClientOptions {
  readonly port: number;
  readonly identity: string;
  /** Of the waypoint. */
  readonly expect: string;
  readonly session?: Partial<SessionOptions>;
}

export async function openClient({ port, identity, expect, session }: ClientOptions): Promise<Client> {
  const ca = await createFakeCa({ clock: systemClock });
  const certificate = await ca.issueWorkload(identity);
  const tunnel = await openTunnel(
    {
      to: { ip: '127.0.0.1', port },
      fd: undefined,
      tls: clientTlsOptions(certificate),
      verify: (socket) => verifyServerPeer(socket, [expect]),
      session: { ...DEFAULT_SESSION_OPTIONS, clock: systemClock, ...session },
    },
    { onClosed: () => undefined },
  );
  return new Client(tunnel);
}
