/** How glibc's allocator spreads memory over threads. */
import { libc } from './libc.ts';

const M_ARENA_MAX = -8;

/**
 * Threads that are started from now on share one arena. By default each gets its own, which grows with it and hardly
 * ever shrinks; a proxy with a handful of threads has more use for the memory than for the concurrency.
 *
 * @returns Whether the allocator knows the wish.
 */
export function shareMallocArena(): boolean {
  return libc.mallopt(M_ARENA_MAX, 1) === 1;
}

/**
 * Gives memory that is free back to the system, of all threads. The allocator keeps it otherwise: V8's compilers take some
 * ten megabytes for a moment, on threads that were there before anybody could say that they share.
 *
 * @returns Whether there was any.
 */
export function giveBackFreeMemory(): boolean {
  return libc.malloc_trim(0) === 1;
}
