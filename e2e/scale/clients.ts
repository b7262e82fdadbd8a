/** The benchmark's end of the process of xDS clients: what it is told, and what it tells. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { end } from '../bench/topology.ts';

export type ClientsOrder =
  | { readonly kind: 'connect'; readonly count: number }
  | { readonly kind: 'collect' }
  | { readonly kind: 'close' };

/** A client got a resource of this name at this time of the machine's monotonic clock. */
export interface Arrival {
  readonly name: string;
  readonly atMs: number;
}

export interface Synced {
  readonly kind: 'synced';
  /** From before the connection to the last byte of the first answers. */
  readonly tookMs: number;
  readonly resources: number;
  readonly messageBytes: number;
  /** As TCP carried them, TLS and HTTP/2 included. */
  readonly wireBytes: number;
}

export type ClientsAnswer =
  | Synced
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'arrivals'; readonly arrivals: readonly Arrival[] }
  | { readonly kind: 'closed' };

const MAIN = new URL('./clients-main.ts', import.meta.url).pathname;
const SYNC_TIMEOUT_MS = 120_000;

export class Clients implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(address: string, rootPath: string, token: string) {
    this.#child = fork(MAIN, [address, rootPath, token], { serialization: 'advanced' });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Connects so many at once and waits until each has everything, or was refused. */
  async connect(
    count: number,
  ): Promise<{ readonly synced: readonly Synced[]; readonly refusals: readonly string[] }> {
    const synced: Synced[] = [];
    const refusals: string[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const listen = (answer: ClientsAnswer) => {
      if (answer.kind === 'synced') synced.push(answer);
      if (answer.kind === 'refused') refusals.push(answer.reason);
      if (synced.length + refusals.length === count) resolve();
    };
    const timer = setTimeout(
      () => reject(new Error(`${synced.length} of ${count} clients in sync after ${SYNC_TIMEOUT_MS} ms`)),
      SYNC_TIMEOUT_MS,
    );
    this.#child.on('message', listen);
    this.#order({ kind: 'connect', count });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#child.off('message', listen);
    }
    return { synced, refusals };
  }

  /** What came since the last call, after the first answers. */
  async collect(): Promise<readonly Arrival[]> {
    const answer = await this.#ask({ kind: 'collect' });
    return answer.kind === 'arrivals' ? answer.arrivals : [];
  }

  async close(): Promise<void> {
    await this.#ask({ kind: 'close' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }

  async #ask(order: ClientsOrder): Promise<ClientsAnswer> {
    const answered = once(this.#child, 'message');
    this.#order(order);
    const [answer] = (await answered) as [ClientsAnswer];
    return answer;
  }

  #order(order: ClientsOrder): void {
    this.#child.send(order);
  }
}
