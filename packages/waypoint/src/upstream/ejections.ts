/**
 * Endpoints that are left out for a while because requests to them fail, by the destination's outlier detection.
 *
 * The detector decides; this tells it of results, carries its decisions to the endpoints, and lets them in again.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { type EjectionReason, type EndpointResult, OutlierDetector } from '../decide/outlier.ts';
import type { OutlierDetection } from '../resources/destination-policy.ts';
import type { UpstreamEndpoint } from './endpoint.ts';

export interface EjectionsOptions {
  readonly policy: OutlierDetection;
  /** For the log. */
  readonly name: string;
  /** Somebody is out, or in again. */
  readonly changed: () => void;
  /** Somebody is out: for metrics. */
  readonly ejected: (reason: EjectionReason) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Ejections implements Disposable {
  readonly policy: OutlierDetection;
  readonly #options: EjectionsOptions;
  readonly #detector: OutlierDetector<UpstreamEndpoint>;
  readonly #sweeping: Timer;

  constructor(options: EjectionsOptions) {
    this.policy = options.policy;
    this.#options = options;
    this.#detector = new OutlierDetector(options.policy);
    this.#sweeping = options.clock.every(options.policy.intervalMs, () => this.#sweep());
  }

  setEndpoints(endpoints: Iterable<UpstreamEndpoint>): void {
    this.#detector.setEndpoints(endpoints);
  }

  report(endpoint: UpstreamEndpoint, result: EndpointResult): void {
    const { clock, log, name, changed, ejected } = this.#options;
    const ejection = this.#detector.report(endpoint, result, clock.monotonicMs());
    if (!ejection) return;
    endpoint.ejected = true;
    log.info('endpoint ejected', {
      destination: name,
      endpoint: endpoint.key,
      reason: ejection.reason,
      ms: Math.round(ejection.untilMs - clock.monotonicMs()),
    });
    ejected(ejection.reason);
    changed();
  }

  /** Nobody is out any more. */
  [Symbol.dispose](): void {
    this.#sweeping.cancel();
  }

  #sweep(): void {
    const { clock, log, name, changed } = this.#options;
    const back = this.#detector.sweep(clock.monotonicMs());
    for (const endpoint of back) {
      endpoint.ejected = false;
      log.info('endpoint back', { destination: name, endpoint: endpoint.key });
    }
    if (back.length > 0) changed();
  }
}
