/**
 * HTTP to the API server: kept-alive connections, current credentials on every request, one deadline per request.
 *
 * Answers come as streams; whoever asked reads or destroys them. A request that met a connection the server had just
 * closed is sent once more if it only reads.
 */
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '@ambit/core/clock';
import { codeOf, LimitError, messageOf } from '@ambit/core/errors';
import type { Access, AccessSource, TlsMaterial } from './access.ts';
import { KubeTransportError } from './errors.ts';
import { MAX_BODY_BYTES, MAX_SOCKETS, TCP_KEEPALIVE_MS } from './limits.ts';

export interface Outgoing {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query, percent-encoded. */
  readonly path: string;
  readonly contentType?: string;
  readonly body?: string;
  /** Aborting ends the request and its answer. */
  readonly signal: AbortSignal;
}

export class HttpTransport implements Disposable {
  readonly #source: AccessSource;
  /** For the TLS material last seen; `fingerprint` tells whether another reading of it is really another. */
  #agent: { readonly agent: HttpAgent | HttpsAgent; readonly fingerprint: string } | undefined;
  #tls: TlsMaterial | undefined;
  #isConnectingAhead = false;

  constructor(source: AccessSource) {
    this.#source = source;
  }

  access(): Promise<Access> {
    return this.#source.current();
  }

  /**
   * Sends a request; resolves with the head of the answer, whatever its status.
   *
   * @throws {@link KubeTransportError} if there is no answer.
   */
  async send(outgoing: Outgoing): Promise<IncomingMessage> {
    const access = await this.#source.current();
    const answer = await this.#once(outgoing, access).catch((error: unknown) => {
      if (!(error instanceof StaleConnectionError) || outgoing.method !== 'GET') throw error;
      return this.#once(outgoing, access);
    });
    if (answer.statusCode === 401) this.#source.forget();
    return answer;
  }

  /** Opens a connection, unless there is one that nobody uses. What keeps it from that, the next request says. */
  async connectAhead(signal: AbortSignal): Promise<void> {
    if (this.#isConnectingAhead) return;
    this.#isConnectingAhead = true;
    try {
      const access = await this.#source.current();
      const { freeSockets } = this.#agentFor(access, isSecure(access));
      if (Object.values(freeSockets).some((free = []) => free.length > 0)) return;
      // Whoever has credentials may ask, and the answer is short.
      const answer = await this.#once({ method: 'GET', path: '/version', signal }, access);
      await readBody('GET /version', answer);
    } catch {
      // As if nobody had tried.
    } finally {
      this.#isConnectingAhead = false;
    }
  }

  [Symbol.dispose](): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  #once(outgoing: Outgoing, access: Access): Promise<IncomingMessage> {
    const { method, path, contentType, body, signal } = outgoing;
    const secure = isSecure(access);
    const what = `${method} ${access.server.origin}${path}`;
    return new Promise((resolve, reject) => {
      const send = secure ? httpsRequest : httpRequest;
      const request = send(new URL(access.server.pathname.replace(/\/$/, '') + path, access.server), {
        method,
        signal,
        agent: this.#agentFor(access, secure),
        headers: {
          ...access.headers,
          accept: 'application/json',
          'user-agent': 'ambit',
          ...(body !== undefined && {
            'content-type': contentType ?? 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
        },
      });
      request.on('socket', (socket) => socket.setKeepAlive(true, TCP_KEEPALIVE_MS));
      request.on('response', resolve);
      request.on('error', (error) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const stale = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '');
        const Failure = stale ? StaleConnectionError : KubeTransportError;
        reject(new Failure(what, messageOf(error), { cause: error }));
      });
      request.end(body);
    });
  }

  #agentFor({ tls }: Access, secure: boolean): HttpAgent | HttpsAgent {
    if (this.#agent && this.#tls === tls) return this.#agent.agent;
    const fingerprint = JSON.stringify(tls);
    this.#tls = tls;
    if (this.#agent?.fingerprint !== fingerprint) {
      const options = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: TCP_KEEPALIVE_MS };
      this.#agent = {
        fingerprint,
        agent: secure ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options),
      };
    }
    return this.#agent.agent;
  }
}

function isSecure({ server }: Access): boolean {
  return server.protocol === 'https:';
}

class StaleConnectionError extends KubeTransportError {}

/** Aborts when `signal` does, or after `timeoutMs` with an error that says so. Dispose of it when done. */
export function deadline(
  what: string,
  timeoutMs: number,
  clock: Clock,
  signal?: AbortSignal,
): AbortSignal & Disposable {
  const controller = new AbortController();
  const timer = clock.after(timeoutMs, () =>
    controller.abort(new KubeTransportError(what, `no complete answer within ${timeoutMs} ms`)),
  );
  const joined = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
  return Object.assign(joined, { [Symbol.dispose]: () => timer.cancel() });
}

/** The whole body as text, up to a bound. */
export async function readBody(what: string, answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_BODY_BYTES) throw new LimitError(`${what}: answer`, MAX_BODY_BYTES, 'bytes');
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof LimitError) throw error;
    throw new KubeTransportError(what, `answer broke off: ${messageOf(error)}`, { cause: error });
  }
  return Buffer.concat(chunks).toString('utf8');
}
