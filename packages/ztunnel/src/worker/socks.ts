/**
 * SOCKS5 on the pod's loopback, for applications whose traffic is not redirected: CONNECT without authentication
 * (RFC 1928). What it names is then proxied like any connection that the pod opens.
 */
import type { Timer } from '@ambit/core/clock';
import { type Endpoint, formatIp } from '@ambit/core/ip';
import type { TcpHandle } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { SOCKS_TIMEOUT_MS } from './limits.ts';
import { OutboundConnection } from './outbound.ts';
import type { Pod } from './pod.ts';

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const CONNECT = 1;
const IPV4 = 1;
const HOSTNAME = 3;
const IPV6 = 4;
const NO_METHOD = Buffer.from([VERSION, 0xff]);
const METHOD = Buffer.from([VERSION, NO_AUTHENTICATION]);
/** The longest greeting and the longest request. */
const MAX_MESSAGE_BYTES = 262;

type Reply = 'ok' | 'host-unreachable' | 'command' | 'address';
const REPLY_CODES: Readonly<Record<Reply, number>> = {
  ok: 0,
  'host-unreachable': 4,
  command: 7,
  address: 8,
};

export function acceptSocks(pod: Pod, handle: TcpHandle): void {
  new SocksNegotiation(pod, handle);
}

type Request =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly reply: Reply }
  | { readonly kind: 'target'; readonly host: string; readonly isName: boolean; readonly port: number };

/** Reads a request; what is more than one is a client that did not wait for its answer, and is refused. */
export function readRequest(bytes: Buffer): Request {
  if (bytes.length < 5) return { kind: 'incomplete' };
  if (bytes[0] !== VERSION || bytes[1] !== CONNECT) return { kind: 'refused', reply: 'command' };
  const type = bytes[3];
  const isName = type === HOSTNAME;
  const size = type === IPV4 ? 4 : type === IPV6 ? 16 : isName ? (bytes[4] ?? 0) : 0;
  if (size === 0) return { kind: 'refused', reply: 'address' };
  const from = isName ? 5 : 4;
  if (bytes.length < from + size + 2) return { kind: 'incomplete' };
  if (bytes.length > from + size + 2) return { kind: 'refused', reply: 'command' };
  const raw = bytes.subarray(from, from + size);
  const host = isName ? raw.toString('latin1') : formatIp(raw);
  if (host === undefined || (isName && !/^[A-Za-z0-9_.-]+$/.test(host))) {
    return { kind: 'refused', reply: 'address' };
  }
  return { kind: 'target', host, isName, port: bytes.readUInt16BE(from + size) };
}

class SocksNegotiation implements PlainSocketEvents, Disposable {
  readonly #pod: Pod;
  readonly #socket: PlainSocket;
  readonly #timer: Timer;
  #received: Buffer = Buffer.alloc(0);
  #greeted = false;

  constructor(pod: Pod, handle: TcpHandle) {
    this.#pod = pod;
    this.#socket = new PlainSocket(handle, this);
    this.#timer = pod.worker.clock.after(SOCKS_TIMEOUT_MS, () => this.#close());
    pod.negotiations.add(this);
    this.#socket.resume();
  }

  onPlainData(buffer: Buffer, from: number, to: number): void {
    if (this.#received.length + to - from > MAX_MESSAGE_BYTES) {
      this.#close();
      return;
    }
    this.#received = Buffer.concat([this.#received, buffer.subarray(from, to)]);
    if (this.#greeted) this.#request();
    else this.#greet();
  }

  onPlainEnd(): void {
    this.#close();
  }

  onPlainError(): void {
    this.#over();
  }

  onPlainWritten(): void {}

  [Symbol.dispose](): void {
    this.#close();
  }

  #close(): void {
    this.#over();
    this.#socket.close();
  }

  #over(): void {
    this.#timer.cancel();
    this.#pod.negotiations.delete(this);
  }

  #greet(): void {
    const bytes = this.#received;
    if (bytes[0] !== VERSION) {
      this.#close();
      return;
    }
    const count = bytes[1];
    if (count === undefined || bytes.length < 2 + count) return;
    if (!bytes.subarray(2, 2 + count).includes(NO_AUTHENTICATION)) {
      this.#socket.write(NO_METHOD);
      this.#close();
      return;
    }
    this.#greeted = true;
    this.#received = bytes.subarray(2 + count);
    this.#socket.write(METHOD);
    if (this.#received.length > 0) this.#request();
  }

  #request(): void {
    const request = readRequest(this.#received);
    if (request.kind === 'incomplete') return;
    this.#socket.pause();
    this.#timer.cancel();
    if (request.kind === 'refused') this.#refuse(request.reply);
    else if (!request.isName) this.#proxy({ ip: request.host, port: request.port });
    else {
      this.#pod.worker.names
        .resolve(request.host)
        .then(([ip]) => {
          if (ip === undefined) this.#refuse('host-unreachable');
          else this.#proxy({ ip, port: request.port });
        })
        .catch((error: unknown) => {
          this.#pod.tellFault(error);
          this.#close();
        });
    }
  }

  #refuse(reply: Reply): void {
    this.#socket.write(replyBytes(reply));
    this.#close();
  }

  #proxy(target: Endpoint): void {
    if (this.#socket.isClosed) return;
    this.#over();
    this.#socket.write(replyBytes('ok'));
    new OutboundConnection(this.#pod, this.#socket, target).start();
  }
}

function replyBytes(reply: Reply): Buffer {
  return Buffer.from([VERSION, REPLY_CODES[reply], 0, IPV4, 0, 0, 0, 0, 0, 0]);
}
