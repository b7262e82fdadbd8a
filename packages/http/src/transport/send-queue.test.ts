import { expect, test } from '@jest/globals';
import { SendQueue } from './send-queue.ts';
import type { Transport } from './transport.ts';

/** A transport that takes bytes while it is idle. */
function queueTo(state: { idle: boolean; lends: boolean }) {
  const written: string[] = [];
  const transport = {
    get idle() {
      return state.idle;
    },
    get lends() {
      return state.lends;
    },
    write: (bytes: Buffer) => {
      written.push(String(bytes));
      state.idle = false;
    },
  } as unknown as Transport;
  return { queue: new SendQueue(transport), written };
}

const CHUNK_BYTES = 64 * 1024;

test('what is queued goes out once the transport takes it', () => {
  const state = { idle: false, lends: false };
  const { queue, written } = queueTo(state);
  queue.append(Buffer.from('ab'));
  queue.append(Buffer.from('c'));
  queue.flush();
  expect([written, queue.queuedBytes]).toEqual([[], 3]);
  state.idle = true;
  queue.flush();
  expect([written, queue.queuedBytes]).toEqual([['abc'], 0]);
});

test('what is held is the memory that is not free, however little of it is used', () => {
  const state = { idle: false, lends: true };
  const { queue } = queueTo(state);
  expect(queue.heldBytes).toBe(0);
  queue.append(Buffer.from('a'));
  expect(queue.heldBytes).toBe(CHUNK_BYTES);
  queue.append(Buffer.alloc(CHUNK_BYTES));
  expect([queue.queuedBytes, queue.heldBytes]).toEqual([CHUNK_BYTES + 1, 2 * CHUNK_BYTES]);
  state.idle = true;
  queue.flush();
  // The first chunk is lent to the transport, the other waits.
  expect([queue.queuedBytes, queue.heldBytes]).toEqual([1, 2 * CHUNK_BYTES]);
  state.idle = true;
  queue.flush();
  expect([queue.queuedBytes, queue.heldBytes]).toEqual([0, CHUNK_BYTES]);
  state.idle = true;
  queue.flush();
  expect(queue.heldBytes).toBe(0);
});
