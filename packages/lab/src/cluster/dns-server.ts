/** The cluster's DNS over UDP and TCP, on the switch: what `dns-answer.ts` decides, in the form of `dns-packet`. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '@ambit/core/errors';
import { familyOf } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { listenTcp, udpSocket } from '@ambit/linux/sockets';
import {
  AUTHORITATIVE_ANSWER,
  type Answer,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
} from 'dns-packet';
import { answerFor, type DnsState } from './dns-answer.ts';

const TTL_S = 5;
const MAX_QUERY_BYTES = 4_096;
const MAX_CLIENTS = 1_000;
const IDLE_MS = 10_000;
const NO_SUCH_NAME = 3;
const NOT_IMPLEMENTED = 4;

export interface DnsServerOptions {
  readonly netnsFd: number;
  readonly ip: string;
  readonly state: DnsState;
  readonly log: Logger;
}

export async function startDnsServer({
  netnsFd,
  ip,
  state,
  log,
}: DnsServerOptions): Promise<AsyncDisposable> {
  const udp = createSocket(familyOf(ip) === 4 ? 'udp4' : 'udp6');
  udp.on('message', (message, from) => {
    const answer = respond(state, message, log);
    if (answer) udp.send(answer, from.port, from.address);
  });
  udp.on('error', (error) => log.warn('the DNS socket failed', { error: messageOf(error) }));
  udp.bind({ fd: udpSocket({ netnsFd, ip, port: 53 }) });
  const tcp = createServer((client) => serve(client, state, log));
  tcp.maxConnections = MAX_CLIENTS;
  tcp.listen({ fd: listenTcp({ netnsFd, ip, port: 53 }).fd });
  return { [Symbol.asyncDispose]: () => close(udp, tcp) };
}

/** The answer to one message, or none for what is no query. */
function respond(state: DnsState, message: Buffer, log: Logger): Buffer | undefined {
  let query: Packet;
  try {
    query = decode(message);
  } catch (error) {
    log.debug('not a DNS message', { error: messageOf(error) });
    return undefined;
  }
  const [question] = query.questions ?? [];
  if (query.type !== 'query' || !question) return undefined;
  const base = { type: 'response', id: query.id ?? 0, questions: query.questions ?? [] } as const;
  const flags = AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE;
  if ((query.questions ?? []).length !== 1) return encode({ ...base, flags: flags | NOT_IMPLEMENTED });
  const result = answerFor(state, question.name, question.type);
  if (result.kind === 'no-such-name') return encode({ ...base, flags: flags | NO_SUCH_NAME });
  const ips = result.kind === 'addresses' ? result.ips : [];
  const answers = ips.map(
    (ip): Answer => ({ type: familyOf(ip) === 4 ? 'A' : 'AAAA', name: question.name, ttl: TTL_S, data: ip }),
  );
  return encode({ ...base, flags, answers });
}

/** DNS over TCP: each message behind its length in two bytes (RFC 1035 §4.2.2). */
function serve(client: Socket, state: DnsState, log: Logger): void {
  let received = Buffer.alloc(0);
  client.setTimeout(IDLE_MS, () => client.destroy());
  client.on('error', () => client.destroy());
  client.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      const answer = respond(state, received.subarray(2, end), log);
      received = received.subarray(end);
      if (!answer) {
        client.destroy();
        return;
      }
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      client.write(Buffer.concat([length, answer]));
    }
    if (received.length > MAX_QUERY_BYTES) client.destroy();
  });
}

async function close(udp: UdpSocket, tcp: Server): Promise<void> {
  await new Promise<void>((resolve) => udp.close(() => resolve()));
  await new Promise<void>((resolve) => tcp.close(() => resolve()));
}
