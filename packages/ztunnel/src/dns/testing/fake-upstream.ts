/** A resolver for tests: UDP and TCP on one loopback port, answering as the test says, and keeping what it was asked. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { freePort } from '@ambit/core/testing/free-port';

/** The answer to a question, or several, or none. */
export type Answerer = (question: Buffer, protocol: 'udp' | 'tcp') => readonly Uint8Array[];

export class FakeUpstream implements AsyncDisposable {
  readonly asked: { readonly bytes: Buffer; readonly protocol: 'udp' | 'tcp' }[] = [];
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();
  readonly port: number;

  private constructor(udp: UdpSocket, tcp: Server, answer: Answerer) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.port = udp.address().port;
    udp.on('message', (question, from) => {
      this.asked.push({ bytes: question, protocol: 'udp' });
      for (const reply of answer(question, 'udp')) udp.send(reply, from.port, from.address);
    });
    tcp.on('connection', (socket) => {
      this.#connections.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        const question = chunk.subarray(2);
        this.asked.push({ bytes: question, protocol: 'tcp' });
        for (const reply of answer(question, 'tcp')) socket.write(framed(reply));
      });
    });
  }

  /** On sockets that are bound, and listen, in whatever namespace. */
  static async adopt(answer: Answerer, udpFd: number, tcpFd: number): Promise<FakeUpstream> {
    const udp = createSocket('udp4');
    udp.bind({ fd: udpFd });
    const tcp = createServer().listen({ fd: tcpFd });
    await once(tcp, 'listening');
    return new FakeUpstream(udp, tcp, answer);
  }

  static async start(answer: Answerer, ip = '127.0.0.1', port?: number): Promise<FakeUpstream> {
    const chosen = port ?? (await freePort(ip));
    const udp = createSocket('udp4').bind(chosen, ip);
    await once(udp, 'listening');
    const tcp = createServer().listen(chosen, ip);
    await once(tcp, 'listening');
    return new FakeUpstream(udp, tcp, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close();
    for (const socket of this.#connections) socket.destroy();
    this.#tcp.close();
    await once(this.#tcp, 'close');
  }
}

export function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
