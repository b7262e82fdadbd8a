import { expect, test } from '@jest/globals';
import { shareMallocArena } from './malloc.ts';

test('the allocator takes the wish', () => expect(shareMallocArena()).toBe(true));
