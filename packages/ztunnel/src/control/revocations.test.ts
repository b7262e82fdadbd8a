import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { createRevocationList } from '@ambit/identity/x509';
import { CRL_POLL_INTERVAL_MS } from '../limits.ts';
import type { ControlToWorker } from '../threads/messages.ts';
import { followRevocations } from './revocations.ts';

test('lists reach the workers at start and when the file changes; a broken one changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-crl-'));
  const path = join(folder, 'crl.pem');
  const ca = await createSelfSignedCa({ clock: systemClock });
  const list = async (...serials: string[]) =>
    Buffer.from(await createRevocationList(serials, systemClock.now(), ca.material.signer));
  const clock = new FakeClock();
  const sent: ControlToWorker[] = [];
  const workers = { broadcast: (message: ControlToWorker) => void sent.push(message) };
  const waitFor = async (count: number) => {
    for (let i = 0; i < 5_000 && sent.length < count; i++) {
      await clock.advance(CRL_POLL_INTERVAL_MS);
      await systemClock.sleep(5);
    }
  };
  const watch = await followRevocations({ path, workers, clock, log: silentLogger });
  try {
    expect(sent).toEqual([]);
    writeFileSync(path, await list('aa'));
    await waitFor(1);
    writeFileSync(path, 'not a list at all');
    await clock.advance(CRL_POLL_INTERVAL_MS);
    await systemClock.sleep(20);
    expect(sent).toHaveLength(1);
    const last = await list('aa', 'bb');
    writeFileSync(path, last);
    await waitFor(2);
    expect(sent.at(-1)).toEqual({ kind: 'revocations', bytes: last });
  } finally {
    watch[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  }
});
