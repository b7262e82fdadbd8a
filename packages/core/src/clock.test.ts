import { expect, test } from '@jest/globals';
import { systemClock } from './clock.ts';

test('sleep ends early with the reason of its signal', async () => {
  const abort = new AbortController();
  const sleeping = systemClock.sleep(60_000, abort.signal);
  abort.abort(new Error('woken'));
  await expect(sleeping).rejects.toThrow('woken');
  await expect(systemClock.sleep(0, abort.signal)).rejects.toThrow('woken');
});

test('a cancelled timer does not fire', async () => {
  let fired = 0;
  const timers = [systemClock.after(1, () => fired++), systemClock.every(1, () => fired++)];
  for (const timer of timers) timer.cancel();
  systemClock.after(1, () => (fired += 100));
  await systemClock.sleep(20);
  expect(fired).toBe(100);
});
