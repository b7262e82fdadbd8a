import { afterEach, expect, test } from '@jest/globals';
import { memoryBytes, type Pending, pendingCopy, release } from './pending.ts';

const pieces: Pending[] = [];
afterEach(() => {
  for (const piece of pieces.splice(0)) release(piece);
});

const KIB = 1_024;

test('a copy is what was to be sent, with room for a header before it', () => {
  const bytes = Buffer.from('what is to be sent');
  const { memory, from, to } = pendingCopy(bytes, 5, 12);
  expect([memory.toString('latin1', from, to), from >= 9]).toEqual(['is to b', true]);
});

test.each([1, 100, 4 * KIB, 23 * KIB, 24 * KIB, 65 * KIB, 256 * KIB, 1_000 * KIB])(
  'what %d octets keep alive is told, to the last octet',
  (length) => {
    const bytes = Buffer.alloc(length, 1);
    for (let i = 0; i < 50; i++) pieces.push(pendingCopy(bytes, 0, length));
    const backing = new Set(pieces.map(({ memory }) => memory.buffer));
    const aliveBytes = [...backing].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(pieces.reduce((sum, piece) => sum + memoryBytes(piece), 0)).toBe(aliveBytes);
    expect(aliveBytes).toBeGreaterThanOrEqual(50 * length);
  },
);
