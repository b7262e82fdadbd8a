/**
 * Whether a route to a waypoint is out of date. Between proxies, news of the control plane has no order: a waypoint may hear
 * that a service is its own no more before a client's proxy does.
 */
import type { Route, RouteDecision } from './route.ts';

/**
 * @param now - What is decided for the same connection now. That no instance of the waypoint is there for a moment, as while
 * it is rolled, is no news of where the connection belongs.
 */
export function leadsElsewhere(route: Route, now: RouteDecision): boolean {
  switch (now.kind) {
    case 'refuse':
      return now.reason !== 'unknown-waypoint';
    case 'resolve':
      return !route.expectedIdentities.includes(now.workload.identity);
    case 'route':
      return now.via !== route.via || now.expectedIdentities.join(' ') !== route.expectedIdentities.join(' ');
    default:
      return now satisfies never;
  }
}
