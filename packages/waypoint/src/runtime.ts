/** Settings that a process can only be given at its start. What they bring is in docs/operate/performance.md. */

/**
 * Room for short-lived objects in MiB: every request makes some, and they die with it, so that there is little to move
 * when it is full. That is done by the loop's thread alone: waking helpers takes longer than they save, above all where
 * they have to wait for a core.
 */
export const V8_FLAGS: readonly string[] = ['--max-semi-space-size=8', '--no-parallel-scavenge'];

/**
 * Of glibc's allocator. Threads share arenas, which hardly shrink; and V8's compilers get their memory in pieces of 32 KiB,
 * which are given back to the system when they are done. Buffers of TLS are smaller, and come too often for that.
 */
export const ALLOCATOR: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '24576',
  MALLOC_TRIM_THRESHOLD_: '131072',
};
