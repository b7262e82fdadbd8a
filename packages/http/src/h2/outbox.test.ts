import { expect, test } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import type { Transport } from '../transport/transport.ts';
import { Outbox } from './outbox.ts';

/** Takes everything at once, as a tunnel does. */
function taking(write: (bytes: Uint8Array) => void): Transport {
  return {
    idle: true,
    lends: false,
    peer: '',
    localAddress: '',
    write,
    keep() {},
    credit() {},
    end() {},
    leave() {},
    destroy() {},
    start() {},
  };
}

/** Several frames in one turn: those of the next are gathered. */
async function makeBusy(outbox: Outbox): Promise<void> {
  outbox.put(Buffer.from('head '), true);
  outbox.put(Buffer.from('data '));
  outbox.put(Buffer.from('end '));
  await turn();
  await turn();
}

test('what is gathered for a connection in a tunnel leaves the tunnel in the same turn', async () => {
  const written: string[] = [];
  const tunnel = new Outbox(taking((bytes) => void written.push(Buffer.from(bytes).toString())));
  const inner = new Outbox(taking((bytes) => tunnel.put(Buffer.from(bytes))));
  await makeBusy(tunnel);
  await makeBusy(inner);
  await makeBusy(tunnel);
  written.length = 0;

  inner.put(Buffer.from('a'));
  inner.put(Buffer.from('b'));
  expect(written).toEqual([]);
  await turn();
  expect(written).toEqual(['ab']);
});
