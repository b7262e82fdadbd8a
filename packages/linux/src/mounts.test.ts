import { expect, test } from '@jest/globals';
import { hasMounts } from './mounts.ts';

const INFO =
  '22 27 0:20 / /proc rw - proc proc rw\n40 27 0:31 / /run/a\\040b/c rw shared:1 - tmpfs tmpfs rw\n';

test.each([
  { path: '/proc', has: true },
  { path: '/run/a b', has: true },
  { path: '/run/a', has: false },
  { path: '/pro', has: false },
])('mounts at or below $path: $has', ({ path, has }) => {
  expect(hasMounts(path, INFO)).toBe(has);
});
