import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { createSelfSignedMaterial } from '@ambit/identity/self-signed-ca';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { Watched } from '@ambit/core/watch';
import { configFrom } from './config.ts';
import { SERVING_RENEWAL_MIN_MS } from './limits.ts';
import { ServingCertificate } from './serving-certificate.ts';

const HOUR_MS = 3_600_000;

async function started(
  ttlMs: number,
  caLifetimeMs = 100 * HOUR_MS,
  believed: (maxMs: number) => Promise<void> = () => Promise.resolve(),
) {
  const clock = new FakeClock();
  const material = await createSelfSignedMaterial({ organization: 'td', lifetimeMs: caLifetimeMs }, clock);
  const authority = new CertificateAuthority(material, { clock });
  const changed = new Watched(0);
  const failures: string[] = [];
  const use = async () => {
    authority.use(await createSelfSignedMaterial({ organization: 'td' }, clock));
    changed.set(changed.value + 1);
  };
  const serving = await ServingCertificate.create({
    authority,
    changed,
    believed,
    dnsNames: ['istiod.istio-system.svc'],
    ips: [],
    ttlMs,
    clock,
    log: { ...silentLogger, error: (message) => void failures.push(message) },
  });
  const seen = [serving.pair.value];
  serving.pair.subscribe((pair) => seen.push(pair));
  /** Whether the last one that was shown is signed by who signs now. */
  const isCurrent = () =>
    new X509Certificate(serving.pair.value.cert).verify(
      new X509Certificate(authority.material.signer.certificatePem).publicKey,
    );
  return { clock, authority, serving, seen, failures, use, isCurrent };
}

/** Keys and signatures are made outside the event loop, and the clock does not wait for them. */
async function until(what: () => boolean): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`never came true: ${what.toString()}`);
}

const endOf = (pem: string | undefined) => new X509Certificate(pem ?? '').validToDate.getTime();

describe('the certificate of our own ports', () => {
  test('is renewed at half its life, again and again', async () => {
    const { clock, serving, seen } = await started(24 * HOUR_MS);
    for (const count of [2, 3]) {
      await clock.advance(12 * HOUR_MS - 1);
      expect(seen).toHaveLength(count - 1);
      await clock.advance(1);
      await until(() => seen.length === count);
      expect(endOf(seen.at(-1)?.cert)).toBe(clock.now() + 24 * HOUR_MS);
    }
    serving[Symbol.dispose]();
    await clock.advance(24 * HOUR_MS);
    expect(seen).toHaveLength(3);
  });

  test('that its CA lets live less than was asked for is renewed at half of that', async () => {
    const { clock, seen } = await started(24 * HOUR_MS, 4 * HOUR_MS);
    expect(endOf(seen[0]?.cert)).toBe(clock.now() + 4 * HOUR_MS);
    await clock.advance(2 * HOUR_MS);
    await until(() => seen.length === 2);
  });

  test('that cannot be renewed is tried again, and goes on being served until it can', async () => {
    const { clock, authority, seen, failures } = await started(20_000, 30_000);
    const material = authority.material;
    await clock.advance(40_000);
    while (failures.length === 0) {
      await clock.advance(SERVING_RENEWAL_MIN_MS);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const before = seen.length;
    const fresh = await createSelfSignedMaterial({ organization: 'td', lifetimeMs: HOUR_MS }, clock);
    expect(fresh.signer.certificatePem).not.toBe(material.signer.certificatePem);
    authority.use(fresh);
    const triedMs = clock.now();
    await clock.advance(2_000);
    await until(() => seen.length > before);
    // It is signed while the clock moves on.
    const notBeforeMs = endOf(seen.at(-1)?.cert) - 20_000;
    expect(notBeforeMs).toBeGreaterThanOrEqual(triedMs);
    expect(notBeforeMs).toBeLessThanOrEqual(clock.now());
  });
});

describe('the certificate of our own ports, when the CA is another', () => {
  test('is shown only once it is believed, for which half of what is left is waited', async () => {
    const asked: number[] = [];
    const gate = Promise.withResolvers<void>();
    const { clock, seen, use, isCurrent } = await started(24 * HOUR_MS, 100 * HOUR_MS, (maxMs) => {
      asked.push(maxMs);
      return gate.promise;
    });
    await clock.advance(4 * HOUR_MS);
    await use();
    await clock.advance(19 * HOUR_MS);
    expect([asked, seen.length, isCurrent()]).toEqual([[10 * HOUR_MS], 1, false]);
    gate.resolve();
    await until(() => seen.length === 2);
    expect(isCurrent()).toBe(true);
  });

  test('and another again before that one was believed, is of the last one, and made once', async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let asked = 0;
    const { seen, use, isCurrent } = await started(24 * HOUR_MS, 100 * HOUR_MS, async () => {
      asked += 1;
      await gates[asked - 1]?.promise;
    });
    await use();
    await use();
    for (const gate of gates.toReversed()) gate.resolve();
    await until(() => seen.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([asked, seen.length, isCurrent()]).toEqual([2, 2, true]);
  });

  test('and another while it is made, is of the last one', async () => {
    const { seen, use, isCurrent, serving } = await started(24 * HOUR_MS);
    const made = serving.renew();
    await use();
    await made;
    await until(() => seen.length >= 2 && isCurrent());
  });
});

describe('its lifetime', () => {
  test.each([
    ['10s', 10_000],
    ['720h', 720 * HOUR_MS],
    [undefined, 24 * HOUR_MS],
  ])('%s', (text, want) => {
    expect(configFrom(text === undefined ? {} : { AMBIT_SERVING_CERT_TTL: text }).servingTtlMs).toBe(want);
  });

  test.each(['0s', '9s', '721h', 'long'])('%s is refused', (text) => {
    expect(() => configFrom({ AMBIT_SERVING_CERT_TTL: text })).toThrow(
      /AMBIT_SERVING_CERT_TTL.*a duration of 10s to 720h/,
    );
  });
});
