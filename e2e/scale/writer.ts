/** The benchmark's end of the process that writes to the API server: what it is told, and what it tells. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { end } from '../bench/topology.ts';
import type { RealApiServer } from './real-api-server.ts';

export interface WriterOrder {
  /** Of each object, in the order in which they are written. */
  readonly paths: readonly string[];
  /** The merge patch that each gets, as JSON. */
  readonly body: string;
  readonly everyMs: number;
}

/** Times of the machine's monotonic clock. */
export interface Write {
  readonly sentMs: number;
  readonly answeredMs: number;
}

export type WriterAnswer =
  | { readonly kind: 'written'; readonly writes: readonly Write[] }
  | { readonly kind: 'failed'; readonly reason: string };

const MAIN = new URL('./writer-main.ts', import.meta.url).pathname;

export class Writer implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor({ host, port, rootPem, adminToken }: RealApiServer) {
    const env = {
      ...process.env,
      API_SERVER: `https://${host}:${port}`,
      API_ROOT: rootPem,
      API_TOKEN: adminToken,
    };
    this.#child = fork(MAIN, [], { serialization: 'advanced', env });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One patch after another at the given pace, whether or not the ones before are answered; ends with the last answer. */
  async write(order: WriterOrder): Promise<readonly Write[]> {
    const answered = once(this.#child, 'message');
    this.#child.send(order);
    const [answer] = (await answered) as [WriterAnswer];
    if (answer.kind === 'failed') throw new Error(`a write failed: ${answer.reason}`);
    return answer.writes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}
