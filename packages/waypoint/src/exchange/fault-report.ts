/**
 * Tells of faults of this waypoint: something went wrong that no input explains. Each ends one request or connection and
 * none besides, is counted, and is logged with its stack.
 */
import type { Logger } from '@ambit/core/log';
import type { Counter, MetricRegistry } from '@ambit/core/metrics';

export class FaultReport {
  readonly #log: Logger;
  readonly #faults: Counter;

  constructor(registry: MetricRegistry, log: Logger) {
    this.#log = log;
    this.#faults = registry.counter({
      name: 'ambit_waypoint_faults',
      help: 'Requests and connections that ended by something wrong in this waypoint',
    });
    this.#faults.inc(undefined, 0);
  }

  /** Does `act`. What that throws is a fault: it is told, and `end` ends what it was about. */
  contain(what: string, act: () => void, end: () => void): void {
    try {
      act();
    } catch (error) {
      this.tell(what, error);
      end();
    }
  }

  /** @param what - Which of them, and where it was. */
  tell(what: string, error: unknown): void {
    this.#faults.inc();
    this.#log.error(`${what} by a fault of the waypoint`, {
      error: error instanceof Error ? error.stack : String(error),
    });
  }
}
