/**
 * Asks the resolvers of this proxy what the mesh does not know, from within the pod's network namespace.
 *
 * Question and answer pass byte for byte; only the ID is another, drawn for each question. Each has a socket of its own,
 * connected to the resolver, so that an answer must come from there, to an unknown port, with that ID and question.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { Socket } from 'node:net';
import type { Clock } from '@ambit/core/clock';
import { MeshError, messageOf } from '@ambit/core/errors';
import { type Endpoint, familyOf, formatHostPort } from '@ambit/core/ip';
import { tcpSocket, udpSocket } from '@ambit/linux/sockets';
import { MIN_ATTEMPT_MS, QUERY_TIMEOUT_MS, UDP_ATTEMPT_MS } from './limits.ts';
import { type DnsQuery, HEADER_BYTES, questionEnd } from './query.ts';

export type DnsProtocol = 'udp' | 'tcp';

/** No resolver answered. */
export class DnsUpstreamError extends MeshError {
  readonly code = 'DNS_UPSTREAM';
  readonly side = 'upstream';
}

export interface UpstreamOptions {
  /** Where the sockets live; `undefined`: the namespace of this process. */
  readonly netnsFd: number | undefined;
  /** Keeps the sockets out of the pod's own redirection. */
  readonly mark: number | undefined;
  readonly nameservers: readonly Endpoint[];
  readonly clock: Clock;
}

export class Upstream implements Disposable {
  readonly #options: UpstreamOptions;
  /** One for each exchange under way. Not one signal for all: whatever derives from a long-lived signal stays with it. */
  readonly #underWay = new Set<AbortController>();
  #isClosed = false;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /**
   * The answer of the first resolver that gives one.
   *
   * @throws {@link DnsUpstreamError} when none does in time, naming what went wrong last.
   */
  async ask(query: DnsQuery, protocol: DnsProtocol): Promise<Uint8Array> {
    const { nameservers, clock } = this.#options;
    if (nameservers.length === 0) throw new DnsUpstreamError('no upstream resolver is configured');
    const startedMs = clock.monotonicMs();
    const leftMs = () => QUERY_TIMEOUT_MS - (clock.monotonicMs() - startedMs);
    let failure: unknown;
    for (let attempt = 0; attempt < MAX_ATTEMPTS && leftMs() >= MIN_ATTEMPT_MS; attempt++) {
      const nameserver = nameservers[attempt % nameservers.length];
      if (nameserver === undefined) break;
      const patienceMs =
        protocol === 'udp' ? UDP_ATTEMPT_MS : QUERY_TIMEOUT_MS / Math.min(2, nameservers.length);
      const ms = Math.min(patienceMs, leftMs());
      try {
        return await this.#attempt(query, protocol, nameserver, ms);
      } catch (error) {
        if (this.#isClosed) throw error;
        failure = new Error(`${formatHostPort(nameserver.ip, nameserver.port)}: ${messageOf(error)}`);
      }
    }
    throw new DnsUpstreamError('no upstream resolver answered', { cause: failure });
  }

  /** Ends all that is under way. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const exchange of this.#underWay) exchange.abort(new DnsUpstreamError('the pod is stopping'));
  }

  async #attempt(
    query: DnsQuery,
    protocol: DnsProtocol,
    nameserver: Endpoint,
    ms: number,
  ): Promise<Uint8Array> {
    const ending = new AbortController();
    this.#underWay.add(ending);
    const late = () => ending.abort(new Error(`no answer within ${Math.round(ms)} ms`));
    const timer = this.#options.clock.after(ms, late);
    const message = Buffer.from(query.bytes);
    message.writeUInt16BE(randomInt(0x1_0000), 0);
    const exchange = protocol === 'udp' ? exchangeUdp : exchangeTcp;
    try {
      const answer = await exchange(this.#options, nameserver, message, ending.signal);
      answer.writeUInt16BE(query.id, 0);
      return answer;
    } finally {
      timer.cancel();
      this.#underWay.delete(ending);
    }
  }
}

/** Each resolver twice, or a single one until time is up. */
const MAX_ATTEMPTS = 6;

type Sockets = Pick<UpstreamOptions, 'netnsFd' | 'mark'>;

function inNetns({ netnsFd, mark }: Sockets): { netnsFd?: number; mark?: number } {
  return { ...(netnsFd === undefined ? {} : { netnsFd }), ...(mark === undefined ? {} : { mark }) };
}

function exchangeUdp(sockets: Sockets, to: Endpoint, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  const family = familyOf(to.ip);
  const fd = udpSocket({ ...inNetns(sockets), ip: family === 4 ? '0.0.0.0' : '::', port: 0 });
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  return new Promise<Buffer>((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    socket.on('error', reject);
    socket.on('message', (answer) => {
      if (answers(message, answer)) resolve(answer);
    });
    socket.bind({ fd });
    // No callback: that would be called where no way leads there as well, instead of the error being told.
    socket.once('connect', () => socket.send(message));
    socket.connect(to.port, to.ip);
  }).finally(() => socket.close());
}

function exchangeTcp(sockets: Sockets, to: Endpoint, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  const socket = new Socket({ fd: tcpSocket({ ...inNetns(sockets), family: familyOf(to.ip) }) });
  return new Promise<Buffer>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    const received: Buffer[] = [];
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('connection closed before the answer')));
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk);
      const all = Buffer.concat(received);
      if (all.length < 2 || all.length < 2 + all.readUInt16BE(0)) return;
      const answer = all.subarray(2, 2 + all.readUInt16BE(0));
      if (answers(message, answer)) resolve(answer);
      else reject(new Error('the answer is to another question'));
    });
    socket.connect(to.port, to.ip, () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.write(Buffer.concat([length, message]));
    });
  }).finally(() => socket.destroy());
}

/** Whether `answer` is a response to exactly this question; one that could not read it may leave it out. */
function answers(query: Buffer, answer: Buffer): boolean {
  if (answer.length < HEADER_BYTES || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  const flags = answer.readUInt16BE(2);
  if ((flags & 0x8000) === 0) return false;
  const questions = answer.readUInt16BE(4);
  if (questions === 0) return (flags & 0xf) !== 0;
  const end = questionEnd(answer);
  if (questions !== 1 || end === undefined) return false;
  const asked = query.subarray(HEADER_BYTES, questionEnd(query));
  const repeated = answer.subarray(HEADER_BYTES, end);
  return asked.equals(repeated) || foldCase(asked) === foldCase(repeated);
}

function foldCase(question: Buffer): string {
  return question.toString('latin1').toLowerCase();
}
