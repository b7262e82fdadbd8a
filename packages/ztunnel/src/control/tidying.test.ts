import { expect, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { Tidying } from './tidying.ts';

function tidyingWith(delayMs: number) {
  const clock = new FakeClock();
  const state = { collections: 0 };
  const tidying = new Tidying({
    collect: () => {
      state.collections += 1;
    },
    delayMs,
    clock,
  });
  return { clock, state, tidying };
}

test('collects once, a while after the last of several reasons', async () => {
  const { clock, state, tidying } = tidyingWith(1_000);
  tidying.soon();
  await clock.advance(999);
  tidying.soon();
  await clock.advance(999);
  expect(state.collections).toBe(0);
  await clock.advance(1);
  expect(state.collections).toBe(1);
  await clock.advance(10_000);
  expect(state.collections).toBe(1);
});

test('collects again for a later reason', async () => {
  const { clock, state, tidying } = tidyingWith(1_000);
  tidying.soon();
  await clock.advance(1_000);
  tidying.soon();
  await clock.advance(1_000);
  expect(state.collections).toBe(2);
});

test('collects no more once disposed of', async () => {
  const { clock, state, tidying } = tidyingWith(1_000);
  tidying.soon();
  tidying[Symbol.dispose]();
  await clock.advance(1_000);
  expect(state.collections).toBe(0);
});
