import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { CertificateStore } from '@ambit/identity/certificate-store';
import { Revocations } from '@ambit/identity/revocation-list';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { DEFAULT_TLS_SETTINGS } from '@ambit/identity/tls-context';
import { OwnCertificate } from './own-certificate.ts';

const ME = 'spiffe://td/ns/shop/sa/waypoint';
const HOUR_MS = 3_600_000;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

test.each([0, 1, 8])('is available in the end although the CA refuses %d times', async (refusals) => {
  const clock = new FakeClock();
  let asked = 0;
  using store = new CertificateStore({
    fetch: (identity) => {
      asked += 1;
      if (asked <= refusals) return Promise.reject(new Error('not now'));
      const [notBeforeMs, notAfterMs] = [clock.now(), clock.now() + HOUR_MS];
      const certificate = { identity, chainPem: [], rootsPem: [], privateKey, serial: '1' };
      return Promise.resolve({ ...certificate, notBeforeMs, notAfterMs });
    },
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  using own = new OwnCertificate({
    identity: ME,
    store,
    revocations: new Revocations(),
    settings: DEFAULT_TLS_SETTINGS,
    trustDomains: () => ['td'],
  });
  let available = false;
  const waiting = own.available().then(() => {
    available = true;
  });
  await clock.advance(1);
  expect(available).toBe(refusals === 0);
  await clock.advance(HOUR_MS / 4);
  await waiting;
  expect(asked).toBe(refusals + 1);
});
