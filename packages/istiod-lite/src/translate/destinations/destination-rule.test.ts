import { expect, test } from '@jest/globals';
import type { DestinationRuleSpec } from '@ambit/kube/resources/networking';
import { MAX_TOLD_WORKLOADS, MAX_WORKLOAD_QUESTIONS } from '../../limits.ts';
import { destinationPolicy } from './destination-rule.ts';

const WORKLOADS = Array.from({ length: 1_000 }, (_, i) => `c//Pod/shop/cart-${i}`);

/** Of a rule with so many subsets: what comes of it, and how many workloads were looked for. */
function translated(count: number, failoverPriority: readonly string[] = []) {
  const subset = (i: number) => ({
    name: `s${i}`,
    labels: { version: 'v1' },
    trafficPolicy: { loadBalancer: { localityLbSetting: { failoverPriority } } },
  });
  const spec: DestinationRuleSpec = {
    host: 'cart',
    subsets: Array.from({ length: count }, (_, i) => subset(i)),
  };
  let looked = 0;
  const found = <T>(all: readonly T[]) => {
    looked += all.length;
    return all;
  };
  const { subsets, unreadable } = destinationPolicy(
    { metadata: { namespace: 'shop', name: 'cart' }, spec },
    { host: 'cart.shop.svc.cluster.local', isWildcard: false, namespace: 'shop', exportTo: undefined },
    {
      members: () => found(WORKLOADS),
      valuesOf: () => found(WORKLOADS.map((uid) => [uid, 'v1'] as const)),
    },
  );
  return { subsets: subsets?.length, unreadable, looked };
}

test('workloads are told of as many subsets and labels as waypoints can be told of', () => {
  expect(translated(100, ['version'])).toEqual({ subsets: 100, unreadable: undefined, looked: 200_000 });
});

test.each([
  ['by subsets', 5_000, []],
  ['by labels', 60, ['version', 'tier', 'track', 'team']],
])(
  'a rule that would come to more refuses its host, and is not looked for to the end: %s',
  (_, count, labels) => {
    const { subsets, unreadable, looked } = translated(count, labels);
    expect(subsets).toBeUndefined();
    expect(unreadable).toMatch(/more than [0-9]+ (subsets|workloads)/);
    expect(looked).toBeLessThanOrEqual(MAX_TOLD_WORKLOADS + WORKLOADS.length);
  },
);

test('nor does one with more labels than are looked for', () => {
  const labels = Array.from({ length: MAX_WORKLOAD_QUESTIONS }, (_, i) => `l${i}`);
  expect(translated(1, labels).unreadable).toBe(
    `more than ${MAX_WORKLOAD_QUESTIONS} subsets and labels for failover`,
  );
});
