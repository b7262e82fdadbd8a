/**
 * Which endpoints are left out for a while because they fail: DestinationRule's outlier detection, as Envoy does it.
 *
 * An endpoint that fails so many times in a row is ejected at once, for longer each time; it comes back when its time is
 * over, looked at once per interval. Never more than a share of the set is out, one may always be, and below a share of
 * healthy ones nobody is.
 */
import type { OutlierDetection } from '../resources/destination-policy.ts';

/** How a request to an endpoint ended, as far as the endpoint is concerned. */
export type EndpointResult =
  /** Anything but what follows. */
  | 'success'
  /** 500, 501, 505 and so on. */
  | 'server-error'
  /** 502, 503 and 504. */
  | 'gateway-error'
  /** No answer at all: no connection, a reset, a timeout. */
  | 'local-origin';

export function endpointResult(status: number): EndpointResult {
  if (status < 500) return 'success';
  return status >= 502 && status <= 504 ? 'gateway-error' : 'server-error';
}

/** Why an endpoint is out. */
export type EjectionReason =
  | 'consecutive-5xx'
  | 'consecutive-gateway-errors'
  | 'consecutive-local-origin-failures';

export interface Ejection<E> {
  readonly endpoint: E;
  readonly reason: EjectionReason;
  readonly untilMs: number;
}

interface Record {
  serverErrors: number;
  gatewayErrors: number;
  localOrigin: number;
  /** 0: not ejected. */
  ejectedUntilMs: number;
  /** Grows by one with each ejection, and shrinks by one with each interval that the endpoint is in. */
  ejections: number;
}

/** Ejections do not grow beyond this, unless one alone is longer. Envoy's. */
const MAX_EJECTION_MS = 300_000;

/** For the endpoints of one destination; time is `Clock.monotonicMs`. */
export class OutlierDetector<E extends object> {
  readonly #policy: OutlierDetection;
  #records = new Map<E, Record>();
  #ejected = 0;

  constructor(policy: OutlierDetection) {
    this.#policy = policy;
  }

  /** The set from now on. Those that stay keep their history. */
  setEndpoints(endpoints: Iterable<E>): void {
    const records = new Map<E, Record>();
    for (const endpoint of endpoints) records.set(endpoint, this.#records.get(endpoint) ?? newRecord());
    this.#records = records;
    this.#ejected = [...records.values()].filter(({ ejectedUntilMs }) => ejectedUntilMs > 0).length;
  }

  isEjected(endpoint: E): boolean {
    return (this.#records.get(endpoint)?.ejectedUntilMs ?? 0) > 0;
  }

  /** @returns The ejection, if this was one failure too many: the caller tells the balancer. */
  report(endpoint: E, result: EndpointResult, nowMs: number): Ejection<E> | undefined {
    const record = this.#records.get(endpoint);
    if (record === undefined) return undefined;
    count(record, result, this.#policy.splitLocalOriginErrors);
    const reason = this.#reasonFor(record);
    if (reason === undefined || record.ejectedUntilMs > 0 || !this.#mayEject()) return undefined;
    record.ejections += 1;
    const { baseEjectionMs } = this.#policy;
    const ms = Math.min(baseEjectionMs * record.ejections, Math.max(MAX_EJECTION_MS, baseEjectionMs));
    record.ejectedUntilMs = nowMs + ms;
    this.#ejected += 1;
    return { endpoint, reason, untilMs: record.ejectedUntilMs };
  }

  /** Once per interval. @returns Those that are in again. */
  sweep(nowMs: number): readonly E[] {
    const back: E[] = [];
    for (const [endpoint, record] of this.#records) {
      if (record.ejectedUntilMs === 0) {
        record.ejections = Math.max(0, record.ejections - 1);
      } else if (record.ejectedUntilMs <= nowMs) {
        forgive(record);
        this.#ejected -= 1;
        back.push(endpoint);
      }
    }
    return back;
  }

  #reasonFor({ serverErrors, gatewayErrors, localOrigin }: Record): EjectionReason | undefined {
    const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalOriginFailures } = this.#policy;
    const reached = (failures: number, limit: number) => limit > 0 && failures >= limit;
    if (reached(serverErrors, consecutive5xx)) return 'consecutive-5xx';
    if (reached(gatewayErrors, consecutiveGatewayErrors)) return 'consecutive-gateway-errors';
    if (reached(localOrigin, consecutiveLocalOriginFailures)) return 'consecutive-local-origin-failures';
    return undefined;
  }

  #mayEject(): boolean {
    const all = this.#records.size;
    const { maxEjectionPercent, minHealthPercent } = this.#policy;
    if (((all - this.#ejected) * 100) / all < minHealthPercent) return false;
    return (
      maxEjectionPercent > 0 && this.#ejected < Math.max(1, Math.floor((all * maxEjectionPercent) / 100))
    );
  }
}

function newRecord(): Record {
  return { serverErrors: 0, gatewayErrors: 0, localOrigin: 0, ejectedUntilMs: 0, ejections: 0 };
}

function forgive(record: Record): void {
  record.ejectedUntilMs = 0;
  record.serverErrors = 0;
  record.gatewayErrors = 0;
  record.localOrigin = 0;
}

/** Without the split, an endpoint that does not answer counts as one that answers 503. */
function count(record: Record, result: EndpointResult, split: boolean): void {
  if (result === 'local-origin' && split) {
    record.localOrigin += 1;
    return;
  }
  if (split) record.localOrigin = 0;
  record.serverErrors = result === 'success' ? 0 : record.serverErrors + 1;
  record.gatewayErrors =
    result === 'gateway-error' || result === 'local-origin' ? record.gatewayErrors + 1 : 0;
}
