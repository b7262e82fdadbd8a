import { expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { KeyedQueue, type KeyedQueueOptions } from './keyed-queue.ts';

function queue(work: KeyedQueueOptions['work'], onFailure: KeyedQueueOptions['onFailure'] = () => undefined) {
  return new KeyedQueue({ work, onFailure, clock: systemClock, random: () => 0.5 });
}

async function idle(one: KeyedQueue): Promise<void> {
  while (one.size > 0) await systemClock.sleep(1);
}

test('a key is never worked on twice at once, and once more if asked for meanwhile', async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const one = queue(async () => {
    running += 1;
    runs += 1;
    most = Math.max(most, running);
    await systemClock.sleep(5);
    running -= 1;
  });
  for (let i = 0; i < 5; i++) one.add('a');
  await systemClock.sleep(1);
  for (let i = 0; i < 5; i++) one.add('a');
  await idle(one);
  expect([runs, most]).toEqual([2, 1]);
});

test('a key that asks for itself before it waits for anything is not worked on twice at once', async () => {
  let running = 0;
  let most = 0;
  let left = 2;
  const one = queue(async () => {
    most = Math.max(most, ++running);
    if (left-- > 0) one.add('a');
    await systemClock.sleep(1);
    running -= 1;
  });
  one.add('a');
  await idle(one);
  expect([most, left]).toEqual([1, -1]);
});

test('a failed key is tried again until it succeeds', async () => {
  let left = 3;
  const failures: number[] = [];
  const one = queue(
    () => (left-- > 0 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
    (_key, _error, { retryMs }) => failures.push(retryMs),
  );
  one.add('a');
  while (left >= 0) await systemClock.sleep(5);
  expect(failures).toEqual([5, 10, 20]);
});

test('what keeps failing for one reason is news when it lasts, when the reason changes, and each hour', async () => {
  const clock = new FakeClock();
  let reason = 'first';
  const news: string[] = [];
  const one = new KeyedQueue({
    work: () => Promise.reject(new Error(reason)),
    onFailure: (_key, error, { isNews }) => void (isNews && news.push(messageOf(error))),
    clock,
    random: () => 0.5,
  });
  one.add('a');
  await clock.advance(200);
  expect(news).toEqual([]);
  await clock.advance(60_000);
  reason = 'second';
  await clock.advance(60_000);
  expect(news).toEqual(['first', 'second']);
  await clock.advance(3_600_000);
  expect(news).toEqual(['first', 'second', 'second']);
  await one[Symbol.asyncDispose]();
});

test('few keys run at a time, and every one in the end', async () => {
  let running = 0;
  let most = 0;
  const done = new Set<string>();
  const one = queue(async (key) => {
    most = Math.max(most, ++running);
    await systemClock.sleep(1);
    running -= 1;
    done.add(key);
  });
  for (let i = 0; i < 50; i++) one.add(String(i));
  await idle(one);
  expect([done.size, most]).toEqual([50, 8]);
});

test('exclusive work waits for what runs, and holds back what is asked for', async () => {
  const order: string[] = [];
  const one = queue(async (key) => {
    order.push(`start ${key}`);
    await systemClock.sleep(5);
    order.push(`end ${key}`);
  });
  one.add('a');
  const exclusive = one.exclusively('a', async () => {
    order.push('exclusive');
    one.add('a');
    await systemClock.sleep(5);
    return 'outcome';
  });
  expect(await exclusive).toBe('outcome');
  await idle(one);
  expect(order).toEqual(['start a', 'end a', 'exclusive', 'start a', 'end a']);
});

test('disposed of, it begins nothing more and waits for what runs', async () => {
  let ended = 0;
  const one = queue(async () => {
    await systemClock.sleep(5);
    ended += 1;
  });
  one.add('a');
  await one[Symbol.asyncDispose]();
  one.add('b');
  await systemClock.sleep(10);
  expect(ended).toBe(1);
});
