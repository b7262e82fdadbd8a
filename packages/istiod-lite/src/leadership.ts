/**
 * What must be done by one replica alone: work that runs while this one holds a Lease, shared by all of that work.
 *
 * Work is started when the lease is ours and disposed of when it no longer is, before anybody else may have it. On a
 * stop the work ends first and the lease is given back then, so that the next one need not wait for it to expire.
 */
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Watch } from '@ambit/core/watch';
import type { KubeClient } from '@ambit/kube/client';
import { LeaderElection } from '@ambit/kube/leader';

export interface LeadershipOptions {
  readonly client: KubeClient;
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

export class Leadership implements AsyncDisposable {
  readonly #election: LeaderElection;
  readonly #log: Logger;
  readonly #subscription: Disposable;
  readonly #work = new Set<LedWork>();

  constructor(options: LeadershipOptions) {
    this.#log = options.log;
    this.#election = new LeaderElection(options);
    this.#subscription = this.#election.leads.subscribe(() => this.#turn());
  }

  get leads(): Watch<boolean> {
    return this.#election.leads;
  }

  /**
   * Runs `start` each time this replica comes to lead, and disposes of what it returned when it leads no longer.
   *
   * @returns Ends the work for good when disposed of.
   */
  whileLeading(start: () => AsyncDisposable): AsyncDisposable {
    const work = new LedWork(start, this.#log);
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
  readonly #start: () => AsyncDisposable;
  readonly #log: Logger;
  #wanted = false;
  #running: AsyncDisposable | undefined;
  #settled: Promise<void> = Promise.resolve();

  constructor(start: () => AsyncDisposable, log: Logger) {
    this.#start = start;
    this.#log = log;
  }

  /** Resolves when the work runs, or has ended, as was wanted last. Never rejects. */
  turn(wanted: boolean): Promise<void> {
    this.#wanted = wanted;
    this.#settled = this.#settled.then(() => this.#settle());
    return this.#settled;
  }

  async #settle(): Promise<void> {
    if (this.#wanted === (this.#running !== undefined)) return;
    try {
      if (this.#wanted) {
        this.#running = this.#start();
      } else {
        const ending = this.#running;
        this.#running = undefined;
        await ending?.[Symbol.asyncDispose]();
      }
    } catch (error) {
      this.#log.error('work of the leader failed', { error: messageOf(error) });
    }
  }
}
