import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { DEFAULT_SESSION_OPTIONS, H2Session } from '@ambit/http/h2/session';
import { STREAM_WINDOW_BYTES } from '@ambit/http/limits';
import { TunnelPool } from './pool.ts';
import { QueueBudget } from './queue-budget.ts';
import { DuplexTransport } from '@ambit/http/transport/duplex-transport';
import { NOWHERE } from '@ambit/http/roster';

test('peers may send less as what is held for applications grows, on tunnels old and new', async () => {
  const budget = new QueueBudget(1_000_000);
  const pool = new TunnelPool({
    clock: systemClock,
    maxStreams: 1,
    unusedReleaseMs: 60_000,
    budget,
    streamWindowBytes: STREAM_WINDOW_BYTES,
  });
  const open = async (key: string) => {
    const { session } = await pool.get(key, async (handler) => ({
      session: new H2Session('client', new DuplexTransport(new PassThrough(), 'test'), handler, {
        ...DEFAULT_SESSION_OPTIONS,
        clock: systemClock,
      }),
      identity: 'spiffe://td/ns/shop/sa/bob',
    }));
    return session;
  };
  const old = await open('a');
  expect(old.windows.current).toBe(STREAM_WINDOW_BYTES);
  const holder = { heldBytes: 600_000, budgetPlace: NOWHERE, evict: () => undefined };
  budget.add(holder, holder.heldBytes);
  expect(old.windows.current).toBe(STREAM_WINDOW_BYTES / 4);
  expect((await open('b')).windows.current).toBe(STREAM_WINDOW_BYTES / 4);
  budget.remove(holder, 600_000);
  expect(old.windows.current).toBe(STREAM_WINDOW_BYTES);
  pool.close('destroy');
});
