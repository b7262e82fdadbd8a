import { expect, test } from '@jest/globals';
import { formatMetrics } from './metrics.ts';
import { RuntimeMetrics } from './metrics-runtime.ts';

test('what Node tells of itself is OpenMetrics text, and says that it is not stable', async () => {
  using runtime = new RuntimeMetrics();
  const families = await runtime.collect();
  const text = formatMetrics(families);
  expect(text).toMatch(/^# TYPE nodejs_eventloop_lag_seconds gauge$/m);
  expect(text).toMatch(/^# TYPE process_cpu_user_seconds counter\nprocess_cpu_user_seconds_total [0-9.]+$/m);
  expect(text).toMatch(/^process_resident_memory_bytes [0-9]+$/m);
  expect(families.every((family) => family.help.includes('unstable'))).toBe(true);
  expect(new Set(families.map((family) => family.name)).size).toBe(families.length);
});
