/**
 * What the process is started with: what can only be given then, or should be. No flag that changes what V8 compiles: it would
 * take neither the code that Node's own modules come with, nor any that was kept without it.
 */

/**
 * Room for short-lived objects in MiB, of each thread. Connections leave few behind, so V8 would neither fill the 16 that it
 * may take nor grow beyond the one that it begins with: twice that halves how often it collects, for a kilobyte more of each
 * idle connection. What survives is moved by the thread itself: for so little, waking helpers costs more than they save.
 */
export const V8_FLAGS: readonly string[] = [
  '--min-semi-space-size=2',
  '--max-semi-space-size=2',
  '--no-parallel-scavenge',
];

/** Threads for files, names and new keys. */
const THREAD_POOL_SIZE = '2';

/** Variables for Node itself. @param compileCache - The folder that compiled code is kept in. */
export function settingsFor(compileCache: string): Readonly<Record<string, string>> {
  return {
    NODE_COMPILE_CACHE: compileCache,
    NODE_COMPILE_CACHE_PORTABLE: '1',
    UV_THREADPOOL_SIZE: THREAD_POOL_SIZE,
  };
}
