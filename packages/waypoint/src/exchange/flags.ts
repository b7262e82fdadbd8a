/** How requests end that do not end well: Envoy's flags and words, as dashboards and people know them. */
import { flagBits } from '../telemetry/response-flags.ts';
import type { UpstreamFlag } from '../upstream/errors.ts';

/**
 * Besides those of endpoints: client gone, fault injected (delay, abort), authorization by a service, rate limit,
 * overload, idle stream, client broke HTTP, and our own reset.
 */
export type ResponseFlag = UpstreamFlag | 'DC' | 'DI' | 'FI' | 'UAEX' | 'RL' | 'OM' | 'SI' | 'DPE' | 'LR';

/** In Envoy's order, which labels and queries have; '-' is well. */
export function formatFlags(flags: ReadonlySet<ResponseFlag>): string {
  return flags.size === 0 ? '-' : [...flags].sort((one, other) => flagBits(one) - flagBits(other)).join(',');
}
