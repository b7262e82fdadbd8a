import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import type { ControlToWorker } from '../threads/messages.ts';
import { warmUpMessage, warmUpOnce } from './warm-up.ts';

describe('the warm-up of workers', () => {
  test('is asked for once, however often there is a reason', async () => {
    const sent: ControlToWorker[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const broadcast = (message: ControlToWorker) => {
      sent.push(message);
      resolve();
    };
    const ask = warmUpOnce({ network: '', workers: { broadcast }, clock: systemClock, log: silentLogger });
    ask();
    ask();
    await promise;
    ask();
    await new Promise((settled) => setImmediate(settled));
    expect(sent.map(({ kind }) => kind)).toEqual(['warm-up']);
  });

  test('has an authority of its own each time, and a certificate that ends soon', async () => {
    const [first, second] = [await warmUpMessage('', systemClock), await warmUpMessage('', systemClock)];
    expect(first.certificate.identity).toBe('spiffe://warm-up.invalid/ns/warm-up/sa/warm-up');
    expect(first.certificate.rootsPem).not.toEqual(second.certificate.rootsPem);
    const leaf = new X509Certificate(first.certificate.chainPem[0] ?? '');
    expect(leaf.validToDate.getTime()).toBeLessThanOrEqual(Date.now() + 3_600_000);
  });
});
