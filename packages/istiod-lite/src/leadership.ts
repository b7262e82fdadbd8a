/**
 * What must be done by one replica alone: work that runs while this one holds a Lease, shared by all of that work.
 *
 * Work is started when the lease is ours and disposed of when it no longer is, before anybody else may have it. On a
 * stop the work ends first and the lease is given back then, so that the next one need not wait for it to expire. Work
 * that cannot be started is tried again for as long as the lease is held, since nobody else will do it.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Watch } from '@ambit/core/watch';
import { LeaderElection, type LeaderOptions } from '@ambit/kube/leader';
import { WRITE_RETRY_INITIAL_MS, WRITE_RETRY_MAX_MS } from './limits.ts';

export interface LeadershipOptions {
  readonly client: LeaderOptions['client'];
  /** Where the Lease is. */
  readonly namespace: string;
  /** Of the Lease: `istio-status-leader`. */
  readonly name: string;
  /** Unique among the replicas. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Starts work that is owned by `own`; what it has put there ends also if it throws afterwards. */
export type StartWork = (own: AsyncDisposableStack) => void;

export class Leadership implements AsyncDisposable {
  readonly #options: LeadershipOptions;
  readonly #election: LeaderElection;
  readonly #subscription: Disposable;
  readonly #work = new Set<LedWork>();

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#election = new LeaderElection(options);
    this.#subscription = this.#election.leads.subscribe(() => this.#turn());
  }

  get leads(): Watch<boolean> {
    return this.#election.leads;
  }

  /**
   * Calls `start` each time this replica comes to lead, and ends what it started when it leads no longer.
   *
   * @returns Ends the work for good when disposed of.
   */
  whileLeading(start: StartWork): AsyncDisposable {
    const work = new LedWork(start, this.#options);
    this.#work.add(work);
    void work.turn(this.leads.value);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#work.delete(work);
        await work.turn(false);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await Promise.all([...this.#work].map((work) => work.turn(false)));
    this.#work.clear();
    await this.#election[Symbol.asyncDispose]();
  }

  #turn(): void {
    for (const work of this.#work) void work.turn(this.leads.value);
  }
}

/** One piece of work; it never runs twice at once. */
class LedWork {
  readonly #start: StartWork;
  readonly #options: Pick<LeadershipOptions, 'clock' | 'log' | 'name'>;
  readonly #backoff: Backoff;
  #wanted = false;
  #running: AsyncDisposable | undefined;
  #settled: Promise<void> = Promise.resolve();
  #again: Timer | undefined;

  constructor(start: StartWork, options: LeadershipOptions) {
    this.#start = start;
    this.#options = options;
    const times = { initialMs: WRITE_RETRY_INITIAL_MS, maxMs: WRITE_RETRY_MAX_MS, jitter: 0.2 };
    this.#backoff = new Backoff(times, options.random);
  }

  /** Resolves when the work runs, or has ended, as was wanted last, or when that has failed. Never rejects. */
  turn(wanted: boolean): Promise<void> {
    this.#wanted = wanted;
    this.#again?.cancel();
    this.#settled = this.#settled.then(() => this.#settle());
    return this.#settled;
  }

  async #settle(): Promise<void> {
    const { clock, log, name: lease } = this.#options;
    if (this.#wanted === (this.#running !== undefined)) return;
    try {
      if (this.#wanted) {
        this.#running = await this.#begin();
        this.#backoff.reset();
      } else {
        const ending = this.#running;
        this.#running = undefined;
        await ending?.[Symbol.asyncDispose]();
      }
    } catch (error) {
      const waitMs = this.#wanted ? this.#backoff.nextMs() : undefined;
      log.error('work of the leader failed', { lease, error: messageOf(error), waitMs });
      if (waitMs !== undefined) this.#again = clock.after(waitMs, () => void this.turn(this.#wanted));
    }
  }

  async #begin(): Promise<AsyncDisposable> {
    await using own = new AsyncDisposableStack();
    this.#start(own);
    return own.move();
  }
}
