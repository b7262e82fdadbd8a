/**
 * Endpoints that are asked now and then how they are, by the destination's health check.
 *
 * One is left out after so many failures in a row, and in again after so many successes; the first answer decides at once,
 * as in Envoy. An endpoint that was not asked yet is taken for well, since mesh state says that it is.
 */
import type { Clock, Random, Timer } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { HealthCheck } from '../resources/destination-policy.ts';
import { MAX_CHECKS_UNDER_WAY } from '../limits.ts';
import type { UpstreamEndpoint } from './endpoint.ts';

/** Whether the endpoint answered as it should, in time. Never rejects. */
export type Probe = (endpoint: UpstreamEndpoint, check: HealthCheck, signal: AbortSignal) => Promise<boolean>;

export interface HealthChecksOptions {
  readonly policy: HealthCheck;
  /** For the log. */
  readonly name: string;
  readonly probe: Probe;
  /** Somebody is out, or in again. */
  readonly changed: () => void;
  /** How a check went: for metrics. */
  readonly checked: (isWell: boolean) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Watched {
  readonly endpoint: UpstreamEndpoint;
  readonly stop: AbortController;
  timer: Timer | undefined;
  /** In a row: successes, or failures as a negative number. */
  streak: number;
  isFirst: boolean;
}

export class HealthChecks implements Disposable {
  readonly policy: HealthCheck;
  readonly #options: HealthChecksOptions;
  readonly #watched = new Map<UpstreamEndpoint, Watched>();
  #underWay = 0;
  /** Whose time has come while too many are under way, in that order. */
  readonly #waiting = new Set<Watched>();

  constructor(options: HealthChecksOptions) {
    this.policy = options.policy;
    this.#options = options;
  }

  setEndpoints(endpoints: Iterable<UpstreamEndpoint>): void {
    const present = new Set(endpoints);
    for (const [endpoint, watched] of this.#watched) if (!present.has(endpoint)) this.#drop(watched);
    for (const endpoint of present) if (!this.#watched.has(endpoint)) this.#watch(endpoint);
  }

  /** Everybody is taken for well again. */
  [Symbol.dispose](): void {
    for (const watched of this.#watched.values()) {
      watched.endpoint.failedChecks = false;
      this.#drop(watched);
    }
  }

  #watch(endpoint: UpstreamEndpoint): void {
    const watched: Watched = {
      endpoint,
      stop: new AbortController(),
      timer: undefined,
      streak: 0,
      isFirst: true,
    };
    this.#watched.set(endpoint, watched);
    this.#schedule(watched, 0);
  }

  #drop(watched: Watched): void {
    this.#watched.delete(watched.endpoint);
    this.#waiting.delete(watched);
    watched.timer?.cancel();
    watched.stop.abort(new Error('not checked any more'));
  }

  #schedule(watched: Watched, afterMs: number): void {
    watched.timer = this.#options.clock.after(afterMs, () => void this.#check(watched));
  }

  async #check(watched: Watched): Promise<void> {
    const { probe, policy, random, checked } = this.#options;
    if (this.#underWay >= MAX_CHECKS_UNDER_WAY) {
      this.#waiting.add(watched);
      return;
    }
    this.#underWay += 1;
    const isWell = await probe(watched.endpoint, policy, watched.stop.signal);
    this.#underWay -= 1;
    this.#next();
    if (watched.stop.signal.aborted) return;
    checked(isWell);
    this.#judge(watched, isWell);
    // Spread over a tenth, so that endpoints that came together are not asked together for ever.
    this.#schedule(watched, policy.intervalMs * (0.95 + random() * 0.1));
  }

  #next(): void {
    for (const watched of this.#waiting) {
      this.#waiting.delete(watched);
      void this.#check(watched);
      return;
    }
  }

  #judge(watched: Watched, isWell: boolean): void {
    const { policy, name, log, changed } = this.#options;
    const { endpoint, streak, isFirst } = watched;
    watched.isFirst = false;
    if (isWell) watched.streak = streak > 0 ? streak + 1 : 1;
    else watched.streak = streak < 0 ? streak - 1 : -1;
    const isOut = endpoint.failedChecks;
    const comesIn = isOut && watched.streak >= policy.healthyThreshold;
    const goesOut = !isOut && (watched.streak <= -policy.unhealthyThreshold || (isFirst && !isWell));
    if (!comesIn && !goesOut) return;
    endpoint.failedChecks = goesOut;
    log.info(goesOut ? 'endpoint failed its health checks' : 'endpoint passed its health checks', {
      destination: name,
      endpoint: endpoint.key,
    });
    changed();
  }
}
