import { describe, expect, test } from '@jest/globals';
import type { Workload } from '../workload.ts';
import type { Route, RouteDecision } from './route.ts';
import { leadsElsewhere } from './stale-route.ts';

const WAYPOINT = 'spiffe://td/ns/shop/sa/waypoint';
const WEB = 'spiffe://td/ns/shop/sa/web';
const route = (over: Partial<Route>): Route => ({
  kind: 'route',
  via: 'waypoint',
  protocol: 'HBONE',
  to: { ip: '10.0.0.1', port: 15_008 },
  authority: '10.96.0.9:80',
  expectedIdentities: [WAYPOINT],
  innerIdentities: [],
  service: undefined,
  workload: undefined,
  destination: { ip: '10.96.0.9', port: 80 },
  ...over,
});
const refusal = (reason: (RouteDecision & { kind: 'refuse' })['reason']): RouteDecision => ({
  kind: 'refuse',
  reason,
  message: reason,
});
const resolution = (identity: string): RouteDecision => ({
  kind: 'resolve',
  hostname: 'far.test',
  workload: { identity } as Workload,
  resume: () => refusal('no-ip-addresses'),
});

describe('a route to a waypoint', () => {
  const cases: Record<string, { now: RouteDecision; want: boolean }> = {
    'another instance of it': { now: route({ to: { ip: '10.0.0.2', port: 15_008 } }), want: false },
    'another waypoint': { now: route({ expectedIdentities: [`${WAYPOINT}-2`] }), want: true },
    'none any more': { now: route({ via: 'direct', expectedIdentities: [WEB] }), want: true },
    'none, and in clear': {
      now: route({ via: 'passthrough', protocol: 'TCP', expectedIdentities: [] }),
      want: true,
    },
    'no instance of it there': { now: refusal('unknown-waypoint'), want: false },
    'none, and nobody behind the service': { now: refusal('no-healthy-upstream'), want: true },
    'none, and the destination by a name': { now: resolution(WEB), want: true },
    'the waypoint itself by a name': { now: resolution(WAYPOINT), want: false },
  };

  test.each(Object.entries(cases))('%s', (_, { now, want }) => {
    expect(leadsElsewhere(route({}), now)).toBe(want);
  });
});
