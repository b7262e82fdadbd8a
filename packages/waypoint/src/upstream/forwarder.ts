/**
 * WebSocket handshakes, carried out by http-proxy: it speaks to the endpoint on a connection that we made, and writes to a
 * socket that is ours, from which the answer is read back.
 *
 * http-proxy takes paths apart and joins slashes; what goes out is the path as policies saw it. It knows HTTP/1.1 alone,
 * which is what endpoints speak WebSocket in; whichever version the client speaks is the exchange's affair.
 */
import { Agent, type ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { RequestHead, ResponseHead } from '@ambit/http/exchange';
import { withWebSocketKey } from '@ambit/http/websocket';
import httpProxy from 'http-proxy';
import { MAX_HANDSHAKE_BYTES } from '../limits.ts';

export interface HandshakeWaiter {
  /** The endpoint agreed; the returned end of the client's connection is carried from now on. */
  onSwitched(head: ResponseHead): Duplex;
  /** It answered with something else. Its body follows, and its end. */
  onRefused(head: ResponseHead): void;
  onBody(bytes: Buffer): void;
  onBodyEnd(): void;
  /** No answer; or the carried connection broke. */
  onFailed(error: Error): void;
  /** What was carried is over, both ways. */
  onClosed(): void;
}

/** What http-proxy looks at of a request's target; where it connects is the agent's affair. */
const TARGET = { host: 'endpoint', port: 80, protocol: 'http:' };

const proxy = httpProxy.createProxyServer({ toProxy: true });
proxy.on('proxyReqWs', (request: ClientRequest, incoming: IncomingMessage) => {
  request.path = incoming.url ?? '/';
});

/**
 * Offers the client's handshake to the endpoint at the other end of `upstream`.
 *
 * @param head - As it is to be sent; its path in origin form.
 * @returns what gives it up, or cuts what is carried.
 */
export function offerWebSocket(head: RequestHead, upstream: Duplex, waiter: HandshakeWaiter): Disposable {
  const socket = new HandshakeSocket(waiter);
  const agent = new Agent();
  agent.createConnection = () => asSocket(upstream);
  const fail = (error: Error) => {
    upstream.destroy();
    socket.fail(error);
  };
  upstream.on('error', fail);
  proxy.ws(requestOf(head), asSocket(socket) as Socket, NOTHING, { target: TARGET, agent }, fail);
  return {
    [Symbol.dispose]: () => {
      upstream.destroy();
      socket.destroy();
    },
  };
}

const NOTHING = Buffer.alloc(0);

/** As Node's server would have it, with the fields that make it a handshake. */
function requestOf(head: RequestHead): IncomingMessage {
  const request = new IncomingMessage(undefined as never);
  if (head.method !== 'GET' || !head.endsHere) throw new Error('a handshake is a GET without a body');
  request.method = head.method;
  request.url = head.path;
  const headers = Object.create(null) as Record<string, string | string[]>;
  const fields = withWebSocketKey(head);
  for (let i = 0; i < fields.length; i += 2) {
    const [name = '', value = ''] = [fields[i], fields[i + 1]];
    const known = headers[name];
    headers[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  headers['host'] = head.authority;
  headers['connection'] = 'Upgrade';
  headers['upgrade'] = 'websocket';
  request.headers = headers as IncomingMessage['headers'];
  return request;
}

/** With what Node's client and http-proxy set up on any socket, which says nothing here. */
function asSocket(duplex: Duplex): Duplex {
  const same = () => duplex;
  return Object.assign(duplex, {
    setKeepAlive: same,
    setNoDelay: same,
    setTimeout: same,
    ref: same,
    unref: same,
  });
}

/** The client's side, as http-proxy sees it: an answer's head is written to it, then bytes go both ways. */
class HandshakeSocket extends Duplex {
  readonly #waiter: HandshakeWaiter;
  #head: Buffer = NOTHING;
  #state: 'head' | 'body' | 'switched' | 'over' = 'head';
  #client: Duplex | undefined;

  constructor(waiter: HandshakeWaiter) {
    super({ allowHalfOpen: true });
    this.#waiter = waiter;
    this.on('error', () => undefined);
  }

  fail(error: Error): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#client?.destroy(error);
    this.destroy();
    this.#waiter.onFailed(error);
  }

  override _read(): void {
    this.#client?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    switch (this.#state) {
      case 'head':
        this.#readHead(chunk);
        done();
        return;
      case 'body':
        this.#waiter.onBody(chunk);
        done();
        return;
      case 'switched':
        if (this.#client?.write(chunk) !== false) done();
        else this.#client.once('drain', () => done());
        return;
      case 'over':
        done();
        return;
      default:
        this.#state satisfies never;
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#state === 'body') {
      this.#state = 'over';
      this.#waiter.onBodyEnd();
    } else if (this.#state === 'head') {
      this.fail(new Error('the endpoint closed the connection before it answered'));
    } else this.#client?.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const wasOpen = this.#state === 'switched';
    if (this.#state !== 'head') this.#state = 'over';
    this.#client?.destroy();
    done(error);
    if (wasOpen) this.#waiter.onClosed();
  }

  #readHead(chunk: Buffer): void {
    this.#head = Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length > MAX_HANDSHAKE_BYTES) this.fail(new Error('the answer has no end'));
      return;
    }
    const head = parseAnswer(this.#head.toString('latin1', 0, end));
    const rest = this.#head.subarray(end + 4);
    this.#head = NOTHING;
    if (head.status === 101) this.#switch(head);
    else {
      this.#state = 'body';
      this.#waiter.onRefused(head);
    }
    if (rest.length > 0) this._write(rest, 'latin1', () => undefined);
  }

  #switch(head: ResponseHead): void {
    this.#state = 'switched';
    let client: Duplex;
    try {
      client = this.#waiter.onSwitched(head);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#client = client;
    client
      .on('data', (chunk: Buffer) => {
        if (!this.push(chunk)) client.pause();
      })
      .once('end', () => this.push(null))
      .on('error', (error: Error) => this.fail(error))
      .once('close', () => this.destroy());
  }
}

/** Fields that say how the answer was framed, which Node has undone, or that only hold for one connection. */
const PER_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'content-length',
  'upgrade',
]);

/** What http-proxy writes: a status line, and fields as Node parsed them. */
function parseAnswer(text: string): ResponseHead {
  const [line = '', ...rest] = text.split('\r\n');
  const fields = rest.flatMap((field) => {
    const colon = field.indexOf(': ');
    const name = field.slice(0, colon).toLowerCase();
    return PER_CONNECTION.has(name) ? [] : [name, field.slice(colon + 2)];
  });
  return { status: Number(/^HTTP\/1\.[01] ([0-9]{3})/.exec(line)?.[1] ?? 502), fields };
}
