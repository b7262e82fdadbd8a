import { describe, expect, test } from '@jest/globals';
import type { OutlierDetection } from '../resources/destination-policy.ts';
import { type EndpointResult, endpointResult, OutlierDetector } from './outlier.ts';

const POLICY: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
};

function detector(count: number, parts: Partial<OutlierDetection> = {}) {
  const endpoints = Array.from({ length: count }, (_, i) => ({ name: `e${i}` }));
  const found = new OutlierDetector<object>({ ...POLICY, ...parts });
  found.setEndpoints(endpoints);
  const report = (index: number, results: readonly EndpointResult[], nowMs = 0) =>
    results
      .map((result) => found.report(endpoints[index] ?? {}, result, nowMs))
      .findLast((one) => one !== undefined);
  const out = () => endpoints.map((endpoint) => found.isEjected(endpoint));
  return { found, endpoints, report, out };
}

const THRICE: readonly EndpointResult[] = ['server-error', 'server-error', 'server-error'];

describe('an endpoint is ejected', () => {
  const cases: Record<
    string,
    [parts: Partial<OutlierDetection>, results: readonly EndpointResult[], want: string | undefined]
  > = {
    'after so many failures in a row': [{}, THRICE, 'consecutive-5xx'],
    'not after fewer': [{}, ['server-error', 'server-error'], undefined],
    'not when a success comes between': [
      {},
      ['server-error', 'server-error', 'success', 'server-error'],
      undefined,
    ],
    'gateway errors and unreachability are failures as well': [
      {},
      ['gateway-error', 'local-origin', 'server-error'],
      'consecutive-5xx',
    ],
    'after so many gateway errors': [
      { consecutive5xx: 0, consecutiveGatewayErrors: 2 },
      ['gateway-error', 'local-origin'],
      'consecutive-gateway-errors',
    ],
    'another error breaks a row of gateway errors': [
      { consecutive5xx: 0, consecutiveGatewayErrors: 2 },
      ['gateway-error', 'server-error', 'gateway-error'],
      undefined,
    ],
    'split: after so many failures to reach it': [
      { consecutive5xx: 1, splitLocalOriginErrors: true, consecutiveLocalOriginFailures: 2 },
      ['local-origin', 'local-origin'],
      'consecutive-local-origin-failures',
    ],
    'split: an answer of any kind breaks that row': [
      { consecutive5xx: 0, splitLocalOriginErrors: true, consecutiveLocalOriginFailures: 2 },
      ['local-origin', 'server-error', 'local-origin'],
      undefined,
    ],
    'split: unreachability is no 5xx': [
      { consecutive5xx: 1, splitLocalOriginErrors: true },
      ['local-origin'],
      undefined,
    ],
    'never, with 0': [{ consecutive5xx: 0 }, THRICE, undefined],
    'never, if nobody may be': [{ maxEjectionPercent: 0 }, THRICE, undefined],
  };

  test.each(Object.entries(cases))('%s', (_, [parts, results, want]) => {
    expect(detector(3, parts).report(0, results)?.reason).toBe(want);
  });
});

describe('for how long', () => {
  test('longer each time, up to five minutes, and shorter again after good intervals', () => {
    const { found, report } = detector(1, { baseEjectionMs: 100_000 });
    const ejectedFor = (nowMs: number) => (report(0, THRICE, nowMs)?.untilMs ?? Number.NaN) - nowMs;
    expect(ejectedFor(0)).toBe(100_000);
    found.sweep(100_000);
    expect(ejectedFor(100_000)).toBe(200_000);
    found.sweep(300_000);
    expect(ejectedFor(300_000)).toBe(300_000);
    found.sweep(600_000);
    expect(ejectedFor(600_000)).toBe(300_000);
    for (let i = 0; i < 10; i++) found.sweep(1_000_000 + i);
    expect(ejectedFor(2_000_000)).toBe(100_000);
  });

  test('until the interval in which its time is over', () => {
    const { found, endpoints, report, out } = detector(2);
    report(0, THRICE, 1_000);
    expect(found.sweep(30_999)).toEqual([]);
    expect(out()).toEqual([true, false]);
    expect(found.sweep(31_000)).toEqual([endpoints[0]]);
    expect(out()).toEqual([false, false]);
  });

  test('afterwards it begins anew', () => {
    const { found, report } = detector(1);
    report(0, THRICE);
    found.sweep(30_000);
    expect(report(0, ['server-error', 'server-error'])).toBeUndefined();
  });
});

describe('how many', () => {
  const ejected = (count: number, parts: Partial<OutlierDetection>) => {
    const { report, out } = detector(count, parts);
    for (let i = 0; i < count; i++) report(i, THRICE);
    return out().filter(Boolean).length;
  };

  test('a share of the set, and one at least', () => {
    expect([1, 2, 10, 25].map((count) => ejected(count, { maxEjectionPercent: 10 }))).toEqual([1, 1, 1, 2]);
    expect(ejected(4, { maxEjectionPercent: 50 })).toBe(2);
    expect(ejected(4, { maxEjectionPercent: 100 })).toBe(4);
  });

  test('none below the share of healthy ones that there must be', () => {
    expect(ejected(4, { minHealthPercent: 75 })).toBe(2);
  });

  test('those that stay keep their history, those that go leave room', () => {
    const { found, endpoints, report } = detector(4, { maxEjectionPercent: 25 });
    report(0, THRICE);
    report(1, ['server-error', 'server-error']);
    expect(report(2, THRICE)).toBeUndefined();
    found.setEndpoints(endpoints.slice(1));
    expect(report(1, ['server-error'])?.reason).toBe('consecutive-5xx');
    expect(found.report({}, 'server-error', 0)).toBeUndefined();
  });
});

test('a status says what it says of the endpoint', () => {
  expect([200, 404, 499, 500, 501, 502, 503, 504, 505].map(endpointResult)).toEqual([
    'success',
    'success',
    'success',
    'server-error',
    'server-error',
    'gateway-error',
    'gateway-error',
    'gateway-error',
    'server-error',
  ]);
});
