import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { LEASE_DURATION_MS, LEASE_RETRY_MS } from '@ambit/kube/limits';
import { MemoryLease } from '@ambit/kube/testing/memory-lease';
import { Leadership } from './leadership.ts';
import { WRITE_RETRY_MAX_MS } from './limits.ts';

/** Between two tries, at most. */
const TRY_MS = LEASE_RETRY_MS * 1.5;

let scope: AsyncDisposableStack;
let clock: FakeClock;
let stored: MemoryLease;
let log: string[];

beforeEach(() => {
  scope = new AsyncDisposableStack();
  clock = new FakeClock();
  stored = new MemoryLease();
  log = [];
});
afterEach(() => scope.disposeAsync());

const stand = (identity: string) =>
  scope.use(
    new Leadership({
      client: stored.client,
      namespace: 'ns',
      name: 'l',
      identity,
      clock,
      random: () => 0.5,
      log: silentLogger,
    }),
  );
const work =
  (name: string, end: Promise<void> = Promise.resolve()) =>
  (own: AsyncDisposableStack) => {
    log.push(`${name} starts`);
    own.defer(async () => {
      await end;
      log.push(`${name} ended, lease of ${holder()}`);
    });
  };
const holder = () => stored.lease?.spec?.holderIdentity;

describe('Leadership', () => {
  test('all work of a lease runs at one replica; on a stop it ends, then the lease is given back', async () => {
    const first = stand('a');
    const end = Promise.withResolvers<void>();
    first.whileLeading(work('a1', end.promise));
    await clock.advance(0);
    first.whileLeading(work('a2'));
    await clock.advance(0);
    const second = stand('b');
    second.whileLeading(work('b'));
    await clock.advance(10 * LEASE_DURATION_MS);
    expect(log).toEqual(['a1 starts', 'a2 starts']);
    const stopped = first[Symbol.asyncDispose]();
    await clock.advance(10 * LEASE_DURATION_MS);
    expect(log.slice(2)).toEqual(['a2 ended, lease of a']);
    end.resolve();
    await stopped;
    expect(log.slice(3)).toEqual(['a1 ended, lease of a']);
    expect(holder()).toBe('');
    await clock.advance(TRY_MS);
    expect([log.slice(4), holder()]).toEqual([['b starts'], 'b']);
  });

  test('who loses the lease stops its work, and starts it again with the lease', async () => {
    stand('a').whileLeading(work('a'));
    await clock.advance(0);
    stored.put({ holderIdentity: 'thief', leaseDurationSeconds: 30 });
    await clock.advance(TRY_MS);
    expect(log).toEqual(['a starts', 'a ended, lease of thief']);
    stored.put({ holderIdentity: '' });
    await clock.advance(TRY_MS);
    expect(log.slice(2)).toEqual(['a starts']);
  });

  test('work that is ended by itself stays ended; work that fails to start harms no other', async () => {
    const leadership = stand('a');
    leadership.whileLeading(() => {
      throw new Error('no');
    });
    const ended = leadership.whileLeading(work('a'));
    leadership.whileLeading(work('b'));
    await clock.advance(0);
    expect(log).toEqual(['a starts', 'b starts']);
    await ended[Symbol.asyncDispose]();
    await clock.advance(WRITE_RETRY_MAX_MS);
    await leadership[Symbol.asyncDispose]();
    expect(log.slice(2)).toEqual(['a ended, lease of a', 'b ended, lease of a']);
  });

  test('work that cannot be started ends what it had begun, and is tried again while the lease is held', async () => {
    const leadership = stand('a');
    let failures = 0;
    leadership.whileLeading((own) => {
      work('half')(own);
      failures += 1;
      if (failures <= 3) throw new Error('not yet');
      log.push('whole');
    });
    await clock.advance(WRITE_RETRY_MAX_MS);
    const [starts, ends] = ['half starts', 'half ended, lease of a'];
    expect(log).toEqual([starts, ends, starts, ends, starts, ends, starts, 'whole']);
    await leadership[Symbol.asyncDispose]();
    expect(log.slice(8)).toEqual([ends]);
  });

  test('work that cannot be started is not tried any more once the lease is gone', async () => {
    const leadership = stand('a');
    let starts = 0;
    leadership.whileLeading(() => {
      starts += 1;
      throw new Error('never');
    });
    await clock.advance(WRITE_RETRY_MAX_MS);
    expect(starts).toBeGreaterThan(1);
    await leadership[Symbol.asyncDispose]();
    const before = starts;
    await clock.advance(10 * WRITE_RETRY_MAX_MS);
    expect(starts).toBe(before);
  });
});
