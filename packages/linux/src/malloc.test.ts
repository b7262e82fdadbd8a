import { expect, test } from '@jest/globals';
import { garbageCollector } from '@ambit/core/collect-garbage';
import { giveBackFreeMemory, shareMallocArena } from './malloc.ts';

test('the allocator takes the wish', () => expect(shareMallocArena()).toBe(true));

test('what is free between what is in use goes back to the system', () => {
  const collect = garbageCollector();
  const piece = () => Buffer.allocUnsafeSlow(65_536).fill(1);
  const kept: Buffer[] = [];
  for (let i = 0; i < 1_000; i++)
    if (i % 20 === 0) kept.push(piece());
    else piece();
  collect();
  collect();
  const before = process.memoryUsage.rss();
  giveBackFreeMemory();
  expect(before - process.memoryUsage.rss()).toBeGreaterThan(10_000_000);
  expect(kept).toHaveLength(50);
});
