/**
 * Port-forward over a WebSocket with Kubernetes' channel protocol: for the n-th port asked for, channel 2n carries its
 * data and 2n+1 its error; each begins with the port as two bytes. Version 5 can also say that one direction ended.
 *
 * Neither side can make the other hold more than a bounded amount: whoever is ahead is paused.
 */
import type { Duplex } from 'node:stream';
import { messageOf } from '@ambit/core/errors';
import type { WebSocket } from 'ws';
import { PORT_FORWARD_QUEUE_BYTES } from '../limits.ts';
import { Brake } from './brake.ts';
import { dialFailure, type ForwardTarget } from './dial.ts';

export const CHANNEL_V5 = 'v5.channel.k8s.io';
export const CHANNEL_V4 = 'v4.channel.k8s.io';
const CLOSE = 255;

/** Serves until the WebSocket or every connection is closed. */
export function forwardChannels(socket: WebSocket, ports: readonly number[], target: ForwardTarget): void {
  const brake = new Brake(socket);
  const channels = ports.map(
    (port, i) => new Channel(socket, brake, i * 2, port, target, () => closeWhenDone()),
  );
  const closeWhenDone = () => {
    if (channels.every((channel) => channel.closed)) socket.close(1000);
  };
  socket.binaryType = 'nodebuffer';
  socket.on('message', (message: Buffer) => {
    const [number = CLOSE] = message;
    if (number !== CLOSE) channels.find((channel) => channel.number === number)?.write(message.subarray(1));
    else channels.find((channel) => channel.number === message[1])?.end();
  });
  socket.on('close', () => {
    for (const channel of channels) channel.destroy();
  });
  socket.on('error', () => socket.terminate());
  for (const channel of channels) channel.open();
}

class Channel {
  readonly number: number;
  readonly #socket: WebSocket;
  readonly #brake: Brake;
  readonly #port: number;
  readonly #target: ForwardTarget;
  readonly #done: () => void;
  #connection: Duplex | undefined;
  /** What came before the connection was there. */
  #early: Buffer[] = [];
  #endedEarly = false;
  closed = false;

  constructor(
    socket: WebSocket,
    brake: Brake,
    number: number,
    port: number,
    target: ForwardTarget,
    done: () => void,
  ) {
    this.#socket = socket;
    this.#brake = brake;
    this.number = number;
    this.#port = port;
    this.#target = target;
    this.#done = done;
  }

  open(): void {
    const port = Buffer.alloc(2);
    port.writeUInt16LE(this.#port);
    this.#send(this.number, port);
    this.#send(this.number + 1, port);
    // Until there is somebody to read, nothing more is taken from the client.
    this.#brake.hold(this);
    this.#target.dial(this.#port).then(
      (connection) => this.#connected(connection),
      (error: unknown) => this.#fail(messageOf(error)),
    );
  }

  write(data: Buffer): void {
    if (this.closed || data.length === 0) return;
    if (!this.#connection) this.#early.push(data);
    else if (!this.#connection.write(data)) {
      this.#brake.hold(this);
      this.#connection.once('drain', () => this.#brake.release(this));
    }
  }

  end(): void {
    if (this.#connection) this.#connection.end();
    else this.#endedEarly = true;
  }

  destroy(): void {
    this.closed = true;
    this.#connection?.destroy();
  }

  #connected(connection: Duplex): void {
    connection.on('error', (error) => this.#fail(messageOf(error)));
    if (this.closed) {
      connection.destroy();
      return;
    }
    this.#connection = connection;
    connection.on('data', (data: Buffer) => {
      this.#send(this.number, data);
      if (this.#socket.bufferedAmount > PORT_FORWARD_QUEUE_BYTES) connection.pause();
    });
    connection.on('end', () => {
      if (this.#socket.protocol === CHANNEL_V5) this.#sendRaw(Buffer.of(CLOSE, this.number));
      else connection.end();
    });
    connection.on('close', () => this.#finish());
    for (const data of this.#early.splice(0)) connection.write(data);
    if (this.#endedEarly) connection.end();
    this.#brake.release(this);
  }

  #fail(why: string): void {
    if (this.closed) return;
    this.#send(this.number + 1, Buffer.from(dialFailure(this.#port, this.#target, why)));
    this.#finish();
  }

  #finish(): void {
    if (this.closed) return;
    this.closed = true;
    this.#connection?.destroy();
    // A client that is paused because of this connection must not wait for it.
    this.#brake.release(this);
    this.#done();
  }

  #send(channel: number, data: Buffer): void {
    this.#sendRaw(Buffer.concat([Buffer.of(channel), data]));
  }

  #sendRaw(message: Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(message, () => {
      if (this.#socket.bufferedAmount <= PORT_FORWARD_QUEUE_BYTES) this.#connection?.resume();
    });
  }
}
