/**
 * One HTTP request to the agent over its Unix socket.
 *
 * In HTTP/1.0, and by hand: the answer's body then is what comes until the connection ends, and the plugin is a program that
 * starts for every pod, of whose work loading Node's HTTP client was a quarter.
 */
import { connect } from 'node:net';
import { codeOf, MeshError, messageOf } from '@ambit/core/errors';
import { AGENT_ANSWER_MAX_BYTES } from '../limits.ts';

/** Nobody answered: the agent is not there, not listening, or too slow. An answer that refuses is not this error. */
export class AgentSilentError extends MeshError {
  readonly code = 'CNI_AGENT_SILENT';
  readonly side = 'internal';
}

export interface AgentRequest {
  readonly socketPath: string;
  /** `/cmdadd` and its like. */
  readonly path: string;
  readonly body: string;
  readonly timeoutMs: number;
}

export interface AgentAnswer {
  readonly status: number;
  readonly body: string;
}

/** @throws {@link AgentSilentError} */
export type AskAgent = (asked: AgentRequest) => Promise<AgentAnswer>;

export const askAgent: AskAgent = ({ socketPath, path, body, timeoutMs }) =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const socket = connect({ path: socketPath, signal: AbortSignal.timeout(timeoutMs) });
    socket.once('error', (error) =>
      reject(new AgentSilentError(problemOf(error, timeoutMs), { cause: error })),
    );
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= AGENT_ANSWER_MAX_BYTES) chunks.push(chunk);
      else socket.destroy(new Error(`its answer has more than ${AGENT_ANSWER_MAX_BYTES} bytes`));
    });
    socket.once('end', () => {
      const answer = parseAnswer(Buffer.concat(chunks).toString('utf8'));
      if (answer) resolve(answer);
      else reject(new AgentSilentError('it ended the connection without an answer'));
    });
    socket.write(
      `POST ${path} HTTP/1.0\r\nhost: unix\r\ncontent-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });

/** @returns `undefined` for what is no answer, or not all of its head. */
function parseAnswer(text: string): AgentAnswer | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})\b/.exec(text)?.[1];
  if (headEnd === -1 || status === undefined) return undefined;
  return { status: Number(status), body: text.slice(headEnd + 4).trim() };
}

function problemOf(error: Error, timeoutMs: number): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError')
    return `no answer within ${timeoutMs / 1_000} s`;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'no such socket',
    ECONNREFUSED: 'nobody listens there',
    ECONNRESET: 'the connection was reset',
  };
  return known[codeOf(error) ?? ''] ?? messageOf(error);
}
