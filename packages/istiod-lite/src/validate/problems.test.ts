import { expect, test } from '@jest/globals';
import { findingsFor } from '../webhook/review.ts';

const settings = { rootNamespace: 'istio-system', l7WithoutWaypoint: 'istio', ipAutoallocate: true } as const;
const route = [{ destination: { host: 'cart' } }];

test.each<[string, object, readonly string[]]>([
  [
    'VirtualService',
    { hosts: ['cart'], http: [{ route }, { match: [{}, { statPrefix: 'a', uri: { exact: '/' } }], route }] },
    ['spec.http[1].match[1].statPrefix: has no effect at a waypoint'],
  ],
  [
    'Telemetry',
    { metrics: [{ reportingInterval: '5s' }] },
    ['spec.metrics[0].reportingInterval: has no effect at a waypoint'],
  ],
])('what a %s says and nobody heeds is warned of', (kind, spec, warnings) => {
  const found = findingsFor({ metadata: { namespace: 'shop', name: 'x' }, spec }, kind, settings);
  expect([[...found.errors], [...found.warnings]]).toEqual([[], warnings]);
});
