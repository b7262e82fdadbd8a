/**
 * A port of a pod as a stream, through the API server: one WebSocket per connection, Kubernetes' channel protocol.
 *
 * Channel 0 carries data and channel 1 the server's error; each begins with the port as two bytes. Only version 5 of
 * the protocol can say "I have no more to send"; with version 4 ending our side is not told to the pod.
 */
import { Duplex } from 'node:stream';
import { messageOf } from '@ambit/core/errors';
import { WebSocket } from 'ws';
import type { KubeClient } from './client.ts';
import { KubeTransportError } from './errors.ts';
import { PORT_FORWARD_BUFFER_BYTES, PORT_FORWARD_MESSAGE_MAX_BYTES, REQUEST_TIMEOUT_MS } from './limits.ts';
import { pathOf } from './resource.ts';
import { pods } from './resources/core.ts';

/** What these statuses mean here. */
const REFUSALS: Readonly<Record<number, string>> = {
  403: '403: you may not create pods/portforward there',
  404: '404: there is no such pod any more',
};
const V5 = 'v5.channel.k8s.io';
const V4 = 'v4.channel.k8s.io';
const DATA = 0;
const ERROR = 1;
const CLOSE = 255;

export interface PodPort {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/**
 * Connects to a port of a pod's loopback. The caller owns the stream.
 *
 * @throws {@link KubeTransportError} if the API server refuses or cannot be reached. That nothing listens on the port
 * shows later, as an error of the stream.
 */
export async function portForward(client: KubeClient, to: PodPort, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted();
  const { server, tls, headers } = await client.transport.access();
  const path = `${pathOf(pods, { ...to, subresource: 'portforward' })}?ports=${to.port}`;
  const url = new URL(server.pathname.replace(/\/$/, '') + path, server);
  url.protocol = server.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url, [V5, V4], {
    ...tls,
    headers,
    perMessageDeflate: false,
    maxPayload: PORT_FORWARD_MESSAGE_MAX_BYTES,
    handshakeTimeout: REQUEST_TIMEOUT_MS,
  });
  const what = `port-forward to ${to.namespace}/${to.name}:${to.port}`;
  return await opened(socket, what, signal);
}

function opened(socket: WebSocket, what: string, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason as Error);
      socket.terminate();
    };
    const fail = (error: Error) => {
      signal.removeEventListener('abort', abort);
      reject(new KubeTransportError(what, messageOf(error), { cause: error }));
    };
    socket.on('error', fail);
    // What the API server says instead of agreeing. Listening for it leaves the end of the request to us.
    socket.on('unexpected-response', (request, { statusCode = 0 }) => {
      fail(new Error(REFUSALS[statusCode] ?? `the API server answers ${statusCode}`));
      request.destroy();
    });
    signal.addEventListener('abort', abort, { once: true });
    socket.once('open', () => {
      signal.removeEventListener('abort', abort);
      socket.off('error', fail);
      resolve(new ChannelStream(socket, what));
    });
  });
}

class ChannelStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #what: string;
  readonly #greeted = new Set<number>();
  #ended = false;

  constructor(socket: WebSocket, what: string) {
    super({ highWaterMark: PORT_FORWARD_BUFFER_BYTES, allowHalfOpen: true });
    this.#socket = socket;
    this.#what = what;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (message) => this.#receive(message as Buffer));
    socket.on('error', (error) => this.destroy(this.#failure(messageOf(error))));
    socket.on('close', () => {
      this.#endReading();
      if (!this.writableFinished) this.end();
    });
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== WebSocket.OPEN) {
      done(this.#failure('closed by the server'));
      return;
    }
    const frame = Buffer.allocUnsafe(chunk.length + 1);
    frame[0] = DATA;
    chunk.copy(frame, 1);
    this.#socket.send(frame, (error) => done(error ? this.#failure(messageOf(error)) : null));
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#socket.protocol === V5 && this.#socket.readyState === WebSocket.OPEN)
      this.#socket.send(Buffer.of(CLOSE, DATA));
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#socket.isPaused) this.#socket.resume();
    if (error) this.#socket.terminate();
    else this.#socket.close();
    done(error);
  }

  #receive(message: Buffer): void {
    const channel = message[0] ?? ERROR;
    const payload = message.subarray(1);
    if (channel === CLOSE) {
      if (payload[0] === DATA) this.#endReading();
    } else if (channel !== DATA && channel !== ERROR) {
      this.destroy(this.#failure(`the server used channel ${channel}`));
    } else if (!this.#greeted.has(channel)) {
      this.#greeted.add(channel);
      if (payload.length !== 2) this.destroy(this.#failure('the server did not begin with the port'));
    } else if (channel === ERROR) {
      if (payload.length > 0) this.destroy(this.#failure(payload.toString('utf8', 0, 1_000).trim()));
    } else if (payload.length > 0 && !this.#ended && !this.push(payload)) {
      this.#socket.pause();
    }
  }

  #endReading(): void {
    this.#ended = true;
    this.push(null);
  }

  #failure(problem: string): KubeTransportError {
    return new KubeTransportError(this.#what, problem);
  }
}
