import { expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { MAX_CHECKS_UNDER_WAY } from '../limits.ts';
import { UpstreamEndpoint } from './endpoint.ts';
import { HealthChecks } from './health-checks.ts';

class CountingClock extends FakeClock {
  timers = 0;
  override after(ms: number, run: () => void) {
    this.timers += 1;
    return super.after(ms, run);
  }
}

test('no more are asked at a time than may be; the others when their turn comes', async () => {
  const clock = new CountingClock();
  const waiting: ((isWell: boolean) => void)[] = [];
  let checked = 0;
  using checks = new HealthChecks({
    policy: {
      kind: 'http',
      path: '/',
      intervalMs: 60_000,
      timeoutMs: 1_000,
      healthyThreshold: 1,
      unhealthyThreshold: 1,
    },
    name: 'web',
    probe: () => new Promise((resolve) => waiting.push(resolve)),
    changed: () => undefined,
    checked: () => {
      checked += 1;
    },
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  const endpoints = Array.from(
    { length: MAX_CHECKS_UNDER_WAY + 5 },
    (_, i) =>
      new UpstreamEndpoint(
        {
          workload: undefined,
          to: { ip: `10.0.0.${i}`, port: 80 },
          tunnelled: false,
          identities: [],
          weight: 1,
        },
        0,
        { tellsClient: false, makePool: () => undefined as never, report: () => undefined },
      ),
  );
  checks.setEndpoints(endpoints);
  await clock.advance(1_000);
  expect(waiting.length).toBe(MAX_CHECKS_UNDER_WAY);
  // Nobody looks again and again whether there is room.
  expect(clock.timers).toBe(endpoints.length);
  waiting.shift()?.(true);
  await clock.advance(0);
  expect(waiting.length).toBe(MAX_CHECKS_UNDER_WAY);
  for (const answer of waiting.splice(0, MAX_CHECKS_UNDER_WAY - 1)) answer(true);
  await clock.advance(0);
  expect([waiting.length, checked]).toEqual([5, MAX_CHECKS_UNDER_WAY]);
  for (const answer of waiting.splice(0)) answer(false);
  await clock.advance(1);
  expect(endpoints.filter(({ failedChecks }) => failedChecks)).toHaveLength(5);
});
