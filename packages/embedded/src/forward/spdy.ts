/**
 * Port-forward over SPDY/3.1, as `kubectl` does it: for every connection an error stream and a data stream, which name
 * the port and, by a request's number, each other.
 *
 * Kubernetes' SPDY has no flow control of its own, so a slow pod pauses the whole connection, and a slow client its pods.
 */
import type { Duplex } from 'node:stream';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { PORT_FORWARD_QUEUE_BYTES, SPDY_STREAMS } from '../limits.ts';
import { Brake } from './brake.ts';
import { dialFailure, type ForwardTarget, portOf } from './dial.ts';
import { dataFrame, type Frame, FrameReader, pingFrame, replyFrame, resetFrame } from './spdy-frames.ts';
import { HeaderCodec } from './spdy-headers.ts';

export const PORT_FORWARD_PROTOCOL = 'portforward.k8s.io';

const REFUSED = 3;

/** Serves until `connection` ends. */
export async function forwardSpdy(connection: Duplex, target: ForwardTarget, log: Logger): Promise<void> {
  using session = new Session(connection, target);
  const reader = new FrameReader();
  connection.once('close', () => session[Symbol.dispose]());
  try {
    for await (const chunk of connection as AsyncIterable<Buffer>) {
      for (const frame of reader.push(chunk)) await session.handle(frame);
      await session.caughtUp();
    }
  } catch (error) {
    log.debug('port-forward ended', { error: messageOf(error) });
  } finally {
    connection.destroy();
  }
}

/** One forwarded connection: both its streams and the pod's end. */
interface Forward {
  readonly request: string;
  readonly port: number;
  error: number | undefined;
  data: number | undefined;
  pod: Duplex | undefined;
  /** What the client sent before the pod answered, and whether it was all. */
  readonly early: Buffer[];
  ended: boolean;
}

class Session implements Disposable {
  readonly #connection: Duplex;
  readonly #target: ForwardTarget;
  readonly #codec = new HeaderCodec();
  readonly #forwards = new Map<string, Forward>();
  readonly #streams = new Map<number, Forward>();
  #closed = false;
  /** Resolves when nobody holds up the reading of the connection. */
  #resume: (() => void) | undefined;
  #paused: Promise<void> | undefined;
  readonly #brake = new Brake({
    pause: () => {
      if (!this.#closed)
        this.#paused ??= new Promise((resolve) => {
          this.#resume = resolve;
        });
    },
    resume: () => {
      this.#resume?.();
      this.#paused = undefined;
    },
  });

  constructor(connection: Duplex, target: ForwardTarget) {
    this.#connection = connection;
    this.#target = target;
  }

  /** Also when the client goes away while a pod holds everything up. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { pod } of this.#forwards.values()) pod?.destroy();
    this.#codec[Symbol.dispose]();
    this.#resume?.();
  }

  async caughtUp(): Promise<void> {
    await this.#paused;
  }

  async handle(frame: Frame): Promise<void> {
    switch (frame.kind) {
      case 'open':
        return await this.#open(frame.stream, await this.#codec.decode(frame.headers));
      case 'data':
        this.#receive(frame.stream, frame.data, frame.fin);
        return;
      case 'reset': {
        const forward = this.#streams.get(frame.stream);
        if (forward && forward.data === frame.stream) this.#finish(forward);
        return;
      }
      case 'ping':
        if (frame.id % 2 === 1) this.#connection.write(pingFrame(frame.id));
        return;
      case 'goaway':
        return;
      case 'other':
        if (frame.headers) await this.#codec.decode(frame.headers);
        return;
      default:
        return frame satisfies never;
    }
  }

  async #open(stream: number, headers: Readonly<Record<string, string>>): Promise<void> {
    const { streamtype = '', port = '', requestid = '' } = headers;
    const number = portOf(port);
    if (
      number === undefined ||
      !['data', 'error'].includes(streamtype) ||
      this.#streams.size >= SPDY_STREAMS
    ) {
      this.#connection.write(resetFrame(stream, REFUSED));
      return;
    }
    const forward = this.#forwards.get(requestid) ?? {
      request: requestid,
      port: number,
      error: undefined,
      data: undefined,
      pod: undefined,
      early: [],
      ended: false,
    };
    this.#forwards.set(requestid, forward);
    this.#streams.set(stream, forward);
    forward[streamtype === 'data' ? 'data' : 'error'] = stream;
    this.#connection.write(replyFrame(stream, await this.#codec.encode({})));
    if (forward.data === undefined || forward.error === undefined) return;
    this.#brake.hold(forward);
    this.#target.dial(forward.port).then(
      (pod) => this.#connected(forward, pod),
      (error: unknown) => this.#fail(forward, messageOf(error)),
    );
  }

  #receive(stream: number, data: Buffer, fin: boolean): void {
    const forward = this.#streams.get(stream);
    if (!forward || forward.data !== stream) return;
    const { pod } = forward;
    if (!pod) {
      if (data.length > 0) forward.early.push(Buffer.from(data));
      forward.ended ||= fin;
      return;
    }
    if (data.length > 0 && !pod.write(data)) {
      this.#brake.hold(forward);
      pod.once('drain', () => this.#brake.release(forward));
    }
    if (fin) pod.end();
  }

  #connected(forward: Forward, pod: Duplex): void {
    pod.on('error', (error) => this.#fail(forward, messageOf(error)));
    const { data } = forward;
    if (this.#connection.destroyed || data === undefined || !this.#forwards.has(forward.request)) {
      pod.destroy();
      return;
    }
    forward.pod = pod;
    pod.on('data', (chunk: Buffer) => {
      if (this.#connection.destroyed) return;
      this.#connection.write(dataFrame(data, chunk, false));
      if (this.#connection.writableLength <= PORT_FORWARD_QUEUE_BYTES) return;
      pod.pause();
      this.#connection.once('drain', () => pod.resume());
    });
    pod.on('end', () => this.#connection.write(dataFrame(data, Buffer.alloc(0), true)));
    pod.on('close', () => this.#finish(forward));
    for (const chunk of forward.early.splice(0)) pod.write(chunk);
    if (forward.ended) pod.end();
    this.#brake.release(forward);
  }

  #fail(forward: Forward, why: string): void {
    if (forward.error !== undefined && this.#forwards.has(forward.request) && !this.#connection.destroyed) {
      const text = dialFailure(forward.port, this.#target, why);
      this.#connection.write(dataFrame(forward.error, Buffer.from(text), false));
    }
    this.#finish(forward);
  }

  /** Ends both streams, once. */
  #finish(forward: Forward): void {
    this.#brake.release(forward);
    if (!this.#forwards.delete(forward.request)) return;
    forward.pod?.destroy();
    for (const stream of [forward.data, forward.error]) {
      if (stream === undefined) continue;
      this.#streams.delete(stream);
      if (!this.#connection.destroyed) this.#connection.write(dataFrame(stream, Buffer.alloc(0), true));
    }
  }
}
