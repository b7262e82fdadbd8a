/**
 * Tells of faults of this waypoint: something went wrong that no input explains. Each ends one request or connection and
 * none besides, is counted, and is logged with its stack.
 *
 * Whoever finds a request that brings one about sends many: beyond so many in a while they are counted alone, and the log
 * says how many it left out.
 */
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { Counter, MetricRegistry } from '@ambit/core/metrics';
import { FAULT_LOG_WINDOW_MS, FAULTS_LOGGED_PER_WINDOW, MAX_FAULT_TEXT_LENGTH } from '../limits.ts';

export class FaultReport {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #faults: Counter;
  #windowEndsMs = 0;
  #logged = 0;
  #leftOut = 0;

  constructor(registry: MetricRegistry, log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#faults = registry.counter({
      name: 'ambit_waypoint_faults',
      help: 'Requests and connections that ended by something wrong in this waypoint',
    });
    this.#faults.inc(undefined, 0);
  }

  /**
   * Does `act`. What that throws is a fault: it is told, and `end` ends what it was about. What `end` throws is told as well.
   */
  contain(what: string, act: () => void, end: () => void): void {
    try {
      act();
    } catch (error) {
      this.tell(what, error);
      try {
        end();
      } catch (another) {
        this.tell(what, another);
      }
    }
  }

  /** @param what - Which of them, and where it was. */
  tell(what: string, error: unknown): void {
    this.#faults.inc();
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#windowEndsMs) {
      this.#windowEndsMs = nowMs + FAULT_LOG_WINDOW_MS;
      this.#logged = 0;
    }
    if (this.#logged >= FAULTS_LOGGED_PER_WINDOW) {
      this.#leaveOut(this.#windowEndsMs - nowMs);
      return;
    }
    this.#logged += 1;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error(`${what} by a fault of the waypoint`, { error: text.slice(0, MAX_FAULT_TEXT_LENGTH) });
  }

  /** @param leftMs - Of the time in which no more are logged; how many there were is said at its end. */
  #leaveOut(leftMs: number): void {
    this.#leftOut += 1;
    if (this.#leftOut > 1) return;
    this.#clock.after(leftMs, () => {
      const fields = { left_out: this.#leftOut, within_ms: FAULT_LOG_WINDOW_MS };
      this.#leftOut = 0;
      this.#log.error('more faults of the waypoint than are logged', fields);
    });
  }
}
