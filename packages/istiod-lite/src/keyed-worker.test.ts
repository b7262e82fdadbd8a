import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { type Logger, silentLogger } from '@ambit/core/log';
import { KeyedWorker } from './keyed-worker.ts';
import { KubeStatusError, KubeTransportError } from '@ambit/kube/errors';
import { WRITE_AGAIN_MS, WRITE_CAUSES_TOLD, WRITE_CONCURRENCY, WRITE_FAILURE_TOLD_MS } from './limits.ts';

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

  test('never works on a key twice at once, though the work asks for it before it waits for anything', async () => {
    let running = 0;
    let most = 0;
    let left = 2;
    const { promise: through, resolve } = Promise.withResolvers<void>();
    await using subject = worker(async (key) => {
      most = Math.max(most, ++running);
      if (left-- > 0) subject.add(key);
      else resolve();
      await soon();
      running -= 1;
    });
    subject.add('a');
    await through;
    expect(most).toBe(1);
  });

  test('tries again a key whose work fails before it waits for anything', async () => {
    let failures = 1;
    const { promise: succeeded, resolve } = Promise.withResolvers<void>();
    await using subject = worker(() => {
      if (failures-- > 0) throw new Error('no');
      resolve();
      return Promise.resolve();
    });
    subject.add('a');
    await succeeded;
  });

  describe('says', () => {
    const HOUR = 'an hour goes by';
    const SUCCESS = 'success';
    const refused = (status: number, message: string) => new KubeStatusError('put x', status, '', message);
    const broken = (cause: string) =>
      new KubeTransportError('put x', 'no answer', {
        cause: Object.assign(new Error(cause), { code: cause }),
      });
    const numbered = (count: number) => Array.from({ length: count }, (_, n) => `no ${n}`);
    /** Texts are messages of errors without a code; what is said is its last word or number. */
    const cases: Record<string, { outcomes: readonly (string | Error)[]; said: readonly string[] }> = {
      'a failure that repeats once an hour, and another at once': {
        outcomes: ['no', 'no', 'no', 'never', HOUR, 'never', 'never', SUCCESS, 'no', SUCCESS],
        said: ['no', 'never', 'never', 'no'],
      },
      'two that alternate once each': {
        outcomes: ['no', 'never', 'no', 'never', 'no', SUCCESS],
        said: ['no', 'never'],
      },
      'those once that differ in words alone': {
        outcomes: [refused(409, 'version 1'), refused(409, 'version 2'), refused(403, 'version 3'), SUCCESS],
        said: ['1', '3'],
      },
      'those each that have another cause': {
        outcomes: [broken('ECONNREFUSED'), broken('ECONNRESET'), broken('ECONNREFUSED'), SUCCESS],
        said: ['ECONNREFUSED', 'ECONNRESET'],
      },
      'a few an hour, whatever they are': {
        outcomes: [...numbered(WRITE_CAUSES_TOLD + 1), HOUR, 'never', SUCCESS],
        said: [...numbered(WRITE_CAUSES_TOLD).map((_, n) => String(n)), 'never'],
      },
    };

    test.each(Object.entries(cases))('%s', async (_, { outcomes, said: want }) => {
      let laterMs = 0;
      const left = [...outcomes];
      const said: (string | undefined)[] = [];
      const log: Logger = {
        ...silentLogger,
        warn: (_message, fields) => said.push(String(fields?.['error']).split(' ').at(-1)),
      };
      const { promise: done, resolve } = Promise.withResolvers<void>();
      await using subject: KeyedWorker = new KeyedWorker({
        name: 'test',
        work: async () => {
          await Promise.resolve();
          if (left[0] === HOUR) {
            left.shift();
            laterMs += WRITE_FAILURE_TOLD_MS;
          }
          const outcome = left.shift();
          if (left.length === 0) resolve();
          if (outcome === SUCCESS && left.length > 0) subject.add('a');
          if (outcome !== SUCCESS) throw outcome instanceof Error ? outcome : new Error(outcome);
        },
        clock: { ...quick, monotonicMs: () => laterMs },
        random: () => 0.5,
        log,
      });
      subject.add('a');
      await done;
      await soon();
      expect(said).toEqual(want);
      expect([...subject.failing]).toEqual([]);
    });
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
