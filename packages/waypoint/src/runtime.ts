/** Settings that a process can only be given at its start. What they bring is in docs/operate/performance.md. */

/**
 * Room for short-lived objects in MiB: every request makes some, and they die with it, so that there is little to move
 * when it is full. That is done by the loop's thread alone: waking helpers takes longer than they save, above all where
 * they have to wait for a core.
 */
export const V8_FLAGS: readonly string[] = ['--max-semi-space-size=16', '--no-parallel-scavenge'];

/** glibc would give each thread an arena of its own, which hardly shrinks. */
export const ALLOCATOR: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '2' };
