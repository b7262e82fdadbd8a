/**
 * What the process is started with: what can only be given then, or should be. No flag that changes what V8 compiles: it would
 * take neither the code that Node's own modules come with, nor any that was kept without it.
 */

export const V8_FLAGS: readonly string[] = [
  // The control thread's share of memory for short-lived objects, in MiB: V8 would take 16.
  '--max-semi-space-size=1',
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
