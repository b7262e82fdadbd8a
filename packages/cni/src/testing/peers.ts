/** Small TCP and UDP peers in network namespaces: a server says its name and echoes; a client reads whom it reached. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { clearInterval, setInterval, setTimeout } from 'node:timers';
import { systemClock } from '@ambit/core/clock';
import { codeOf } from '@ambit/core/errors';
import { type Endpoint, familyOf } from '@ambit/core/ip';
import { listenTcp, tcpSocket, udpSocket } from '@ambit/linux/sockets';

const WAIT_MS = 25_000;
const ASK_EVERY_MS = 20;

export interface AskedUdp {
  readonly answers: Readonly<Record<string, number>>;
  readonly errors: readonly string[];
  readonly unanswered: number;
}

export class Peers implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #udp = new Set<UdpSocket>();
  readonly #asking = new Set<NodeJS.Timeout>();

  /** A server that greets with `name` and a newline, then echoes. */
  listen(
    name: string,
    netnsFd: number,
    port: number,
    options: { readonly ip?: string; readonly transparent?: 'must'; readonly mark?: number } = {},
  ): void {
    const { fd } = listenTcp({ netnsFd, ip: options.ip ?? '::', port, ...options });
    const server = createServer((socket) => {
      this.#keep(socket);
      socket.write(`${name}\n`);
      socket.pipe(socket);
    });
    server.listen({ fd });
    this.#servers.push(server);
  }

  /** Answers every datagram with `name`, a moment later if told so. */
  async listenUdp(
    name: string,
    netnsFd: number,
    ip: string,
    port: number,
    mark?: number,
    delayMs = 0,
  ): Promise<void> {
    const socket = await this.#udpSocket(
      udpSocket({ netnsFd, ip, port, ...(mark === undefined ? {} : { mark }) }),
      ip,
    );
    const answer = (from: RemoteInfo) => {
      if (this.#udp.has(socket)) socket.send(name, from.port, from.address);
    };
    socket.on('message', (_, from) => {
      if (delayMs === 0) answer(from);
      else setTimeout(() => answer(from), delayMs);
    });
  }

  /**
   * Asks by UDP from one port, as a resolver with an open socket does, until told to stop: {@link ASK_EVERY_MS}.
   *
   * @returns stops, and says who answered how often, what failed, and how many questions had no answer.
   */
  async keepAskingUdp(
    netnsFd: number,
    bind: Endpoint,
    to: string,
    port: number,
  ): Promise<() => Promise<AskedUdp>> {
    const socket = await this.#udpSocket(udpSocket({ netnsFd, ...bind }), bind.ip);
    const connected = once(socket, 'connect');
    socket.connect(port, to);
    await connected;
    const answers: Record<string, number> = {};
    const errors = new Set<string>();
    let unanswered = 0;
    const fail = (error: Error | null) => {
      if (error) errors.add(codeOf(error) ?? error.message);
    };
    socket.on('error', fail).on('message', (text) => {
      answers[text.toString()] = (answers[text.toString()] ?? 0) + 1;
      unanswered -= 1;
    });
    const asking = setInterval(() => {
      unanswered += 1;
      socket.send('who', fail);
    }, ASK_EVERY_MS);
    this.#asking.add(asking);
    return async () => {
      clearInterval(asking);
      for (let left = 50; unanswered > 0 && left > 0; left -= 1) await systemClock.sleep(ASK_EVERY_MS);
      return { answers, errors: [...errors], unanswered };
    };
  }

  /** Asks by UDP; whom the answer is from is checked by the connected-looking filter on `to`. */
  async askUdp(netnsFd: number, from: string, to: string, port: number, mark?: number): Promise<string> {
    const fd = udpSocket({ netnsFd, ip: from, port: 0, ...(mark === undefined ? {} : { mark }) });
    const socket = await this.#udpSocket(fd, from);
    socket.send('who', port, to);
    const [text, source] = (await once(socket, 'message', { signal: AbortSignal.timeout(WAIT_MS) })) as [
      Buffer,
      { address: string; port: number },
    ];
    return `${text.toString()} from ${source.address}:${source.port}`;
  }

  async connect(
    netnsFd: number,
    ip: string,
    port: number,
    options: {
      readonly mark?: number;
      readonly bind?: { ip: string; port: number; transparent: boolean };
      /** Long enough for the kernel to send a lost SYN again: after 1, 3 and 7 seconds. */
      readonly waitMs?: number;
    } = {},
  ): Promise<Conversation> {
    const { waitMs = WAIT_MS, ...wanted } = options;
    const socket = new Socket({ fd: tcpSocket({ netnsFd, family: familyOf(ip), ...wanted }) });
    this.#keep(socket);
    const conversation = new Conversation(socket);
    socket.connect({ host: ip, port });
    await once(socket, 'connect', { signal: AbortSignal.timeout(waitMs) });
    await conversation.greeted();
    return conversation;
  }

  /** The server's end of the connection that came from `clientPort`. */
  servedTo(clientPort: number): Socket {
    const served = [...this.#sockets].find((socket) => socket.remotePort === clientPort);
    if (!served) throw new Error(`nobody serves port ${clientPort}`);
    return served;
  }

  /** Who answers a new connection; `refused` or `no answer` if nobody does. */
  async whoAnswers(...to: Parameters<Peers['connect']>): Promise<string> {
    try {
      const conversation = await this.connect(...to);
      conversation.socket.destroy();
      return conversation.name;
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
        ? 'refused'
        : 'no answer';
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const asking of this.#asking) clearInterval(asking);
    for (const socket of this.#udp) socket.close();
    this.#udp.clear();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  async #udpSocket(fd: number, ip: string): Promise<UdpSocket> {
    const socket = createSocket(familyOf(ip) === 4 ? 'udp4' : 'udp6');
    this.#udp.add(socket);
    const listening = once(socket, 'listening');
    socket.bind({ fd });
    await listening;
    return socket;
  }
}

/** One connection, and what came over it so far. */
export class Conversation {
  readonly socket: Socket;
  #text = '';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      this.#text += chunk;
    });
  }

  get name(): string {
    return this.#text.split('\n')[0] ?? '';
  }

  async greeted(): Promise<void> {
    await this.#until(() => this.#text.includes('\n'));
  }

  /** Sends a line and waits for its echo: rejects when the connection was reset or no longer gets through. */
  async echoes(line: string): Promise<void> {
    this.socket.write(`${line}\n`);
    await this.hears(line);
  }

  async hears(line: string): Promise<void> {
    await this.#until(() => this.#text.includes(`\n${line}\n`));
  }

  async #until(holds: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(WAIT_MS);
    while (!holds()) {
      if (this.socket.destroyed) throw new Error('the connection is gone');
      await once(this.socket, 'data', { signal });
    }
  }
}
