import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { type Logger, silentLogger } from '@ambit/core/log';
import { KeyedWorker } from './keyed-worker.ts';
import { WRITE_AGAIN_MS, WRITE_CONCURRENCY, WRITE_FAILURE_TOLD_MS } from './limits.ts';

const quick = { ...systemClock, after: (_: number, run: () => void) => systemClock.after(1, run) };
const soon = () => new Promise((resolve) => setTimeout(resolve, 20));

function worker(work: (key: string) => Promise<void>): KeyedWorker {
  return new KeyedWorker({ name: 'test', work, clock: quick, random: () => 0.5, log: silentLogger });
}

describe('KeyedWorker', () => {
  test('tries again what failed', async () => {
    const done: string[] = [];
    let failures = 3;
    const { promise: succeeded, resolve } = Promise.withResolvers<void>();
    await using subject = worker((key) => {
      done.push(key);
      if (failures-- > 0) return Promise.reject(new Error('no'));
      resolve();
      return Promise.resolve();
    });
    subject.add('a');
    await succeeded;
    expect(done).toEqual(['a', 'a', 'a', 'a']);
  });

  test('says a failure that repeats once an hour, and another at once', async () => {
    let laterMs = 0;
    const clock = { ...quick, monotonicMs: () => laterMs };
    const said: string[] = [];
    const failures = ['no', 'no', 'no', 'never', 'never', undefined, 'no'];
    const log: Logger = {
      ...silentLogger,
      warn: (_, fields) => said.push(String(fields?.['error'])),
    };
    const { promise: done, resolve } = Promise.withResolvers<void>();
    await using subject: KeyedWorker = new KeyedWorker({
      name: 'test',
      work: async () => {
        if (failures.length === 3) laterMs += WRITE_FAILURE_TOLD_MS;
        const failure = failures.shift();
        if (failures.length === 0) resolve();
        if (failure !== undefined) throw new Error(failure);
        if (failures.length > 0) subject.add('a');
      },
      clock,
      random: () => 0.5,
      log,
    });
    subject.add('a');
    await done;
    await soon();
    expect(said).toEqual(['no', 'never', 'never', 'no']);
    expect([...subject.failing]).toEqual([]);
  });

  test('a key added while it is worked on is worked on once more, and never twice at once', async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const { promise: again, resolve } = Promise.withResolvers<void>();
    await using subject = worker(async () => {
      running += 1;
      runs += 1;
      if (runs === 2) resolve();
      most = Math.max(most, running);
      await systemClock.sleep(3);
      running -= 1;
    });
    subject.add('a');
    subject.add('a');
    subject.add('a');
    await again;
    // Time for one too many.
    await soon();
    expect([runs, most]).toEqual([2, 1]);
  });

  test('a key that is added whenever it was worked on is worked on a few times a second', async () => {
    const waits: number[] = [];
    const clock = {
      ...systemClock,
      after: (ms: number, run: () => void) => {
        waits.push(ms);
        return systemClock.after(1, run);
      },
    };
    let runs = 0;
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    await using subject = new KeyedWorker({
      name: 'test',
      work: (key) => {
        runs += 1;
        if (runs < 5) subject.add(key);
        else resolve();
        return Promise.resolve();
      },
      clock,
      random: () => 0.5,
      log: silentLogger,
    });
    subject.add('a');
    await enough;
    expect(waits.slice(0, 4)).toEqual(Array.from({ length: 4 }, () => WRITE_AGAIN_MS));
  });

  test('works on a few keys at once, no more', async () => {
    let running = 0;
    let most = 0;
    await using subject = worker(async () => {
      running += 1;
      most = Math.max(most, running);
      await systemClock.sleep(1);
      running -= 1;
    });
    for (let i = 0; i < 50; i++) subject.add(String(i));
    await soon();
    await soon();
    expect(most).toBe(WRITE_CONCURRENCY);
  });

  test('disposed of, it waits for what runs and does no more', async () => {
    const done: string[] = [];
    const subject = worker(async (key) => {
      await systemClock.sleep(5);
      done.push(key);
    });
    for (let i = 0; i < 10; i++) subject.add(String(i));
    await subject[Symbol.asyncDispose]();
    expect(done).toHaveLength(WRITE_CONCURRENCY);
    subject.add('late');
    await soon();
    expect(done).toHaveLength(WRITE_CONCURRENCY);
  });
});
