import { expect, test } from '@jest/globals';
import { inTurns } from './in-turns.ts';

/** How many of 30 pieces are done before others have their turn, if each takes `pieceMs` milliseconds. */
async function inFirstTurn(pieceMs: number): Promise<number> {
  let nowMs = 0;
  let done = 0;
  let isTurnOver = false;
  let inFirst = 0;
  setImmediate(() => {
    isTurnOver = true;
  });
  const pieces = function* () {
    for (; done < 30; done += 1) {
      nowMs += pieceMs;
      yield done;
    }
  };
  for await (const piece of inTurns(pieces(), 10, { monotonicMs: () => nowMs }))
    if (!isTurnOver) inFirst = piece + 1;
  expect(done).toBe(30);
  return inFirst;
}

test('work goes on in another turn by the time that it takes, not by how many pieces it has', async () => {
  expect(await inFirstTurn(0)).toBe(30);
  expect(await inFirstTurn(1)).toBe(10);
  expect(await inFirstTurn(50)).toBe(1);
});
