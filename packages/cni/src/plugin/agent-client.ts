/** One HTTP request to the agent over its Unix socket. */
import { request } from 'node:http';
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
    const silent = (problem: string, cause?: unknown) => reject(new AgentSilentError(problem, { cause }));
    const outgoing = request(
      {
        socketPath,
        path,
        method: 'POST',
        headers: {
          host: 'unix',
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
        signal: AbortSignal.timeout(timeoutMs),
        agent: false,
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= AGENT_ANSWER_MAX_BYTES) chunks.push(chunk);
          else incoming.destroy(new Error(`its answer has more than ${AGENT_ANSWER_MAX_BYTES} bytes`));
        });
        incoming.once('error', (error) => silent(problemOf(error, timeoutMs), error));
        incoming.once('end', () =>
          resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8').trim() }),
        );
      },
    );
    outgoing.once('error', (error) => silent(problemOf(error, timeoutMs), error));
    outgoing.end(body);
  });

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
