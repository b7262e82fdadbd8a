import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { type CertificateEvent, CertificateStore, type FetchCertificate } from './certificate-store.ts';
import { MAX_IDENTITIES } from './limits.ts';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { WorkloadCertificate } from './workload-certificate.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const HOUR_MS = 3_600_000;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const forever = new AbortController().signal;

/** A CA that answers as each request is told to, and remembers who asked when. */
class ScriptedCa {
  readonly asked: { identity: string; atMs: number }[] = [];
  readonly open: { identity: string; answer: (outcome: WorkloadCertificate | Error) => void }[] = [];
  readonly clock = new FakeClock();
  /** How the next requests go, without waiting; `undefined`: they wait in `open`. */
  policy: (() => Error | 'certificate') | undefined = () => 'certificate';
  /** In its place, by who asks. */
  decide: ((identity: string) => Error | 'certificate') | undefined;
  lifetimeMs = 24 * HOUR_MS;
  #serial = 0;

  readonly fetch: FetchCertificate = (identity, signal) => {
    this.asked.push({ identity, atMs: this.clock.now() });
    if (!this.policy && !this.decide) {
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
        this.open.push({
          identity,
          answer: (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)),
        });
      });
    }
    const outcome = this.decide?.(identity) ?? this.policy?.() ?? 'certificate';
    return outcome === 'certificate' ? Promise.resolve(this.certificate(identity)) : Promise.reject(outcome);
  };

  certificate(identity: string): WorkloadCertificate {
    this.#serial += 1;
    const notBeforeMs = this.clock.now();
    return {
      identity,
      chainPem: [],
      rootsPem: [],
      privateKey,
      notBeforeMs,
      notAfterMs: notBeforeMs + this.lifetimeMs,
      serial: String(this.#serial),
    };
  }

  store(random = () => 0.5): CertificateStore {
    return new CertificateStore({ fetch: this.fetch, clock: this.clock, random, log: silentLogger });
  }
}

describe('CertificateStore', () => {
  test('asks once however many want it, and answers from memory afterwards', async () => {
    const ca = new ScriptedCa();
    using store = ca.store();
    const all = await Promise.all(Array.from({ length: 50 }, () => store.get(ALICE, 'real-time', forever)));
    expect(new Set(all).size).toBe(1);
    expect(await store.get(ALICE, 'real-time', forever)).toBe(all[0]);
    expect(ca.asked).toHaveLength(1);
    expect(store.states()).toMatchObject([{ identity: ALICE, state: 'Available' }]);
  });

  describe('when the CA may be there again', () => {
    const nobody = () => new Error('nobody there');
    const names = Array.from({ length: 20 }, (_, n) => `spiffe://td/ns/shop/sa/${n}`);
    /** Some that could not be had for a minute. */
    async function outage(ca: ScriptedCa, store: CertificateStore): Promise<void> {
      ca.policy = nobody;
      for (const name of names) store.prefetch(name);
      await ca.clock.advance(60_000);
      ca.asked.length = 0;
    }

    test('it is asked for one, and when that comes, soon for all others', async () => {
      const ca = new ScriptedCa();
      using store = ca.store();
      await outage(ca, store);
      ca.policy = undefined;
      store.tryAgain();
      await ca.clock.advance(0);
      expect(ca.asked).toHaveLength(1);
      ca.policy = () => 'certificate';
      ca.open[0]?.answer(ca.certificate(ca.open[0].identity));
      // A few at a time; time stands still while they are.
      await ca.clock.advance(2_000);
      for (let n = 0; n < names.length; n++) await ca.clock.advance(0);
      expect(ca.asked.map(({ identity }) => identity).toSorted()).toEqual(names.toSorted());
      for (const name of names) expect(store.standing(name)).toBe('available');
    });

    /** A long one: the pauses are as long as they get. */
    async function longOutage(ca: ScriptedCa, store: CertificateStore): Promise<void> {
      await outage(ca, store);
      await ca.clock.advance(1_800_000);
      ca.asked.length = 0;
    }

    test('and is not, it is asked for a few more, one at a time, however often it is said', async () => {
      const askedInAMinute = async (tries: boolean) => {
        const ca = new ScriptedCa();
        using store = ca.store();
        await longOutage(ca, store);
        for (let second = 0; second < 60; second++) {
          if (tries) store.tryAgain();
          await ca.clock.advance(1_000);
        }
        return ca.asked.length;
      };
      const more = (await askedInAMinute(true)) - (await askedInAMinute(false));
      // At 0, 1, 3, 7, 15, 30 and 45 s; each puts off what was due of that account.
      expect(more).toBeGreaterThan(0);
      expect(more).toBeLessThanOrEqual(7);
    });

    test.each([
      ['the first account is denied for good', (identity: string) => identity === names[0]],
      ['the first answer is a failure', (_: string, asked: number) => asked === 1],
      ['it is found out by an account that had not failed', () => false],
    ])('all others come soon, though %s', async (what, isDenied) => {
      const ca = new ScriptedCa();
      using store = ca.store();
      await longOutage(ca, store);
      let asked = 0;
      ca.decide = (identity) => {
        asked += 1;
        return isDenied(identity, asked) ? new Error('denied') : 'certificate';
      };
      if (what.startsWith('it is')) await store.get(ALICE, 'real-time', forever);
      else store.tryAgain();
      await ca.clock.advance(4_000);
      for (let n = 0; n < names.length; n++) await ca.clock.advance(0);
      const missing = names.filter((name) => store.standing(name) !== 'available');
      expect(missing).toEqual(names.filter((name) => isDenied(name, 2)));
    });

    test('what was asked for before it was there again and fails later is asked for again soon', async () => {
      const ca = new ScriptedCa();
      using store = ca.store();
      await longOutage(ca, store);
      ca.policy = undefined;
      store.tryAgain();
      await ca.clock.advance(1);
      ca.policy = () => 'certificate';
      await store.get(ALICE, 'real-time', forever);
      await ca.clock.advance(2_000);
      ca.open[0]?.answer(new Error('the connection is gone'));
      await ca.clock.advance(0);
      await ca.clock.advance(600);
      expect(store.standing(ca.open[0]?.identity ?? '')).toBe('available');
    });

    test('whose life ends first is asked for first: one that could not be renewed comes after those that never came', async () => {
      const ca = new ScriptedCa();
      using store = ca.store();
      await store.get(ALICE, 'real-time', forever);
      ca.policy = nobody;
      await ca.clock.advance(12 * HOUR_MS + 1_000);
      ca.asked.length = 0;
      ca.policy = () => 'certificate';
      store.tryAgain();
      await ca.clock.advance(0);
      expect(ca.asked.map(({ identity }) => identity)).toEqual([ALICE]);
      await outage(ca, store);
      ca.policy = nobody;
      store.tryAgain();
      await ca.clock.advance(0);
      expect(names).toContain(ca.asked[0]?.identity);
    });

    test('a question that is still open is enough', async () => {
      const ca = new ScriptedCa();
      using store = ca.store();
      await outage(ca, store);
      ca.policy = undefined;
      store.tryAgain();
      store.tryAgain();
      await ca.clock.advance(0);
      expect(ca.asked).toHaveLength(1);
    });
  });

  test('a certificate of somebody else is a failure', async () => {
    const ca = new ScriptedCa();
    const fetch: FetchCertificate = () => Promise.resolve(ca.certificate('spiffe://td/ns/shop/sa/bob'));
    using store = new CertificateStore({ fetch, clock: ca.clock, random: () => 0.5, log: silentLogger });
    const events: CertificateEvent[] = [];
    store.subscribe((event) => events.push(event));
    const refused = expect(store.get(ALICE, 'real-time', forever)).rejects.toThrow(
      'got a certificate of spiffe://td/ns/shop/sa/bob',
    );
    await ca.clock.advance(1_500);
    await refused;
    expect(events.map(({ kind }) => kind)).toEqual(['failed']);
  });

  test('renews at half of the life, and tells', async () => {
    const ca = new ScriptedCa();
    using store = ca.store();
    const events: CertificateEvent[] = [];
    store.subscribe((event) => events.push(event));
    const first = await store.get(ALICE, 'real-time', forever);
    await ca.clock.advance(12 * HOUR_MS - 1);
    expect(ca.asked).toHaveLength(1);
    await ca.clock.advance(1);
    expect(ca.asked).toHaveLength(2);
    expect((await store.get(ALICE, 'real-time', forever)).serial).not.toBe(first.serial);
    expect(events.map((event) => event.kind)).toEqual(['available', 'available']);
  });

  test('jitter moves the renewal to either side', async () => {
    for (const [chance, share] of [
      [0, 0.45],
      [0.999_999, 0.55],
    ] as const) {
      const ca = new ScriptedCa();
      using store = ca.store(() => chance);
      await store.get(ALICE, 'real-time', forever);
      const begunMs = ca.clock.now();
      await ca.clock.advance(23 * HOUR_MS);
      expect(((ca.asked[1]?.atMs ?? 0) - begunMs) / (24 * HOUR_MS)).toBeCloseTo(share, 3);
    }
  });

  test('a life longer than timers can wait is renewed once, not at once', async () => {
    const ca = new ScriptedCa();
    ca.lifetimeMs = 90 * 24 * HOUR_MS;
    using store = ca.store();
    await store.get(ALICE, 'real-time', forever);
    await ca.clock.advance(44 * 24 * HOUR_MS);
    expect(ca.asked).toHaveLength(1);
    await ca.clock.advance(2 * 24 * HOUR_MS);
    expect(ca.asked).toHaveLength(2);
  });

  test('who waits is not refused by a first failure or two, and served by the try after them', async () => {
    const ca = new ScriptedCa();
    ca.policy = () => new Error('connect ECONNREFUSED');
    using store = ca.store();
    const first = store.get(ALICE, 'real-time', forever);
    await ca.clock.advance(600);
    const later = store.get(ALICE, 'real-time', forever);
    ca.policy = () => 'certificate';
    expect(ca.asked).toHaveLength(2);
    await ca.clock.advance(1_000);
    expect(await first).toBe(await later);
    expect(ca.asked).toHaveLength(3);
  });

  test('failures that go on refuse those who wait, later ones at once, and are repeated with backoff', async () => {
    const ca = new ScriptedCa();
    ca.policy = () => new Error('connect ECONNREFUSED');
    using store = ca.store();
    const begunMs = ca.clock.now();
    const refused = expect(store.get(ALICE, 'real-time', forever)).rejects.toThrow(
      `no certificate for ${ALICE}: connect ECONNREFUSED`,
    );
    await ca.clock.advance(1_500);
    await refused;
    await expect(store.get(ALICE, 'real-time', forever)).rejects.toMatchObject({
      code: 'CERTIFICATE_REQUEST',
    });
    expect(ca.asked).toHaveLength(3);
    await ca.clock.advance(8_500);
    expect(ca.asked.map(({ atMs }) => atMs - begunMs)).toEqual([0, 500, 1_500, 3_500, 7_500]);
    await ca.clock.advance(HOUR_MS);
    const gaps = ca.asked.slice(1).map(({ atMs }, i) => atMs - (ca.asked[i]?.atMs ?? 0));
    // Of a draw in the middle; the longest of all is 150 s.
    expect(Math.max(...gaps)).toBe(125_000);
    expect(store.states()).toMatchObject([{ state: expect.stringMatching(/^Unavailable: .*ECONNREFUSED/) }]);
    ca.policy = () => 'certificate';
    await ca.clock.advance(150_000);
    await expect(store.get(ALICE, 'real-time', forever)).resolves.toBeDefined();
  });

  test('a valid certificate stays while its renewal fails, and ends with its validity', async () => {
    const ca = new ScriptedCa();
    using store = ca.store();
    const failures: string[] = [];
    store.subscribe((event) => event.kind === 'failed' && failures.push(event.reason));
    const first = await store.get(ALICE, 'real-time', forever);
    ca.policy = () => new Error('CA is down');
    await ca.clock.advance(23 * HOUR_MS);
    expect(ca.asked.length).toBeGreaterThan(10);
    expect(await store.get(ALICE, 'real-time', forever)).toBe(first);
    expect(failures).toEqual([]);
    await ca.clock.advance(HOUR_MS);
    await expect(store.get(ALICE, 'real-time', forever)).rejects.toThrow('CA is down');
    expect(failures[0]).toContain('CA is down');
    ca.policy = () => 'certificate';
    await ca.clock.advance(150_000);
    expect((await store.get(ALICE, 'real-time', forever)).serial).not.toBe(first.serial);
  });

  test('eight requests at a time; who is waited for goes first, then who came first', async () => {
    const ca = new ScriptedCa();
    ca.policy = undefined;
    using store = ca.store();
    const name = (n: number) => `spiffe://td/ns/shop/sa/w${n}`;
    for (let n = 0; n < 12; n++) store.prefetch(name(n));
    const wanted = store.get(name(11), 'real-time', forever);
    expect(ca.open).toHaveLength(8);
    ca.open[0]?.answer(ca.certificate(name(0)));
    await ca.clock.advance(0);
    expect(ca.open.map(({ identity }) => identity).slice(8)).toEqual([name(11)]);
    ca.open[8]?.answer(ca.certificate(name(11)));
    await wanted;
    await ca.clock.advance(0);
    expect(ca.open.at(-1)?.identity).toBe(name(8));
    expect(ca.open).toHaveLength(10);
  });

  test('a request without an answer fails after a while and frees its place', async () => {
    const ca = new ScriptedCa();
    ca.policy = undefined;
    using store = ca.store();
    const outcome = store.get(ALICE, 'real-time', forever);
    const refused = expect(outcome).rejects.toThrow('no answer of the CA within 15000 ms');
    await ca.clock.advance(15_500);
    expect(ca.asked).toHaveLength(2);
    await ca.clock.advance(16_000 + 15_000);
    await refused;
    expect(ca.asked).toHaveLength(3);
  });

  test('who gives up does not stop the others', async () => {
    const ca = new ScriptedCa();
    ca.policy = undefined;
    using store = ca.store();
    const impatient = new AbortController();
    const one = store.get(ALICE, 'real-time', impatient.signal);
    const two = store.get(ALICE, 'real-time', forever);
    impatient.abort(new Error('gave up'));
    await expect(one).rejects.toThrow('gave up');
    await expect(store.get(ALICE, 'real-time', impatient.signal)).rejects.toThrow('gave up');
    ca.open[0]?.answer(ca.certificate(ALICE));
    await expect(two).resolves.toMatchObject({ identity: ALICE });
    expect(ca.asked).toHaveLength(1);
  });

  test('a forgotten identity is dropped with its request, its timer and those who wait', async () => {
    const ca = new ScriptedCa();
    ca.policy = undefined;
    using store = ca.store();
    const events: CertificateEvent[] = [];
    store.subscribe((event) => events.push(event));
    const waiting = store.get(ALICE, 'real-time', forever);
    const refused = expect(waiting).rejects.toThrow('no workload of this node uses it any more');
    store.forget(ALICE);
    await refused;
    ca.open[0]?.answer(ca.certificate(ALICE));
    await ca.clock.advance(24 * HOUR_MS);
    expect(store.states()).toEqual([]);
    expect(ca.asked).toHaveLength(1);
    expect(events).toEqual([{ kind: 'forgotten', identity: ALICE }]);
    store.forget(ALICE);
    expect(events).toHaveLength(1);
  });

  test('a CA whose clock is ahead is not asked without end', async () => {
    const ca = new ScriptedCa();
    const make = ca.certificate.bind(ca);
    ca.certificate = (identity) => ({ ...make(identity), notBeforeMs: ca.clock.now() + HOUR_MS });
    using store = ca.store();
    await store.get(ALICE, 'real-time', forever);
    await ca.clock.advance(10_000);
    expect(ca.asked.length).toBeLessThanOrEqual(11);
  });

  test('identities have a limit', async () => {
    const ca = new ScriptedCa();
    using store = ca.store();
    for (let n = 0; n < MAX_IDENTITIES; n++) store.prefetch(`spiffe://td/ns/a/sa/w${n}`);
    store.prefetch(ALICE);
    await expect(store.get(ALICE, 'real-time', forever)).rejects.toMatchObject({ code: 'LIMIT' });
  });

  test('nothing happens after it is disposed of', async () => {
    const ca = new ScriptedCa();
    const store = ca.store();
    await store.get(ALICE, 'real-time', forever);
    store[Symbol.dispose]();
    await ca.clock.advance(48 * HOUR_MS);
    expect(ca.asked).toHaveLength(1);
  });
});
