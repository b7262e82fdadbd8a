import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { garbageCollector } from './collect-garbage.ts';

test.each(['last-resort', 'regular'] as const)('garbage goes when it is collected (%s)', async (flavor) => {
  const collect = garbageCollector(flavor);
  const garbage = new WeakRef({});
  await turn();
  collect();
  expect(garbage.deref()).toBeUndefined();
});
