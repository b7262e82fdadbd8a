/** A stub resolver for tests: one question over UDP, or several over one TCP connection. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { framed } from './fake-upstream.ts';

export async function askUdp(to: { ip: string; port: number }, question: Uint8Array): Promise<Buffer> {
  const socket = createSocket(to.ip.includes(':') ? 'udp6' : 'udp4');
  socket.send(question, to.port, to.ip);
  const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(120_000) })) as [Buffer];
  socket.close();
  return answer;
}

/** All questions at once; resolves with the answers in the order of their arrival, as many as came before the end. */
export async function askTcp(
  to: { ip: string; port: number },
  questions: readonly Uint8Array[],
  options: { readonly raw?: boolean } = {},
): Promise<Buffer[]> {
  const socket = connect({ port: to.port, host: to.ip });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.write(Buffer.concat(questions.map((question) => (options.raw ? question : framed(question)))));
  if (!options.raw) socket.end();
  await once(socket, 'close', { signal: AbortSignal.timeout(120_000) });
  const answers: Buffer[] = [];
  let all = Buffer.concat(chunks);
  while (all.length >= 2) {
    const length = all.readUInt16BE(0);
    answers.push(all.subarray(2, 2 + length));
    all = all.subarray(2 + length);
  }
  return answers;
}

/** The addresses of an answer's records, and what its header says. */
export function readAnswer(answer: Buffer): {
  rcode: number;
  truncated: boolean;
  authoritative: boolean;
  ips: string[];
} {
  const flags = answer.readUInt16BE(2);
  const ips: string[] = [];
  let at = 12;
  while (answer[at] !== 0) at += 1 + (answer[at] ?? 0);
  at += 5;
  for (let left = answer.readUInt16BE(6); left > 0; left--) {
    const length = answer.readUInt16BE(at + 10);
    const value = answer.subarray(at + 12, at + 12 + length);
    if (answer.readUInt16BE(at + 2) === 1) ips.push(value.join('.'));
    if (answer.readUInt16BE(at + 2) === 28) ips.push(value.toString('hex'));
    at += 12 + length;
  }
  return { rcode: flags & 15, truncated: (flags & 0x0200) !== 0, authoritative: (flags & 0x0400) !== 0, ips };
}
