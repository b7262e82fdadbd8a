/**
 * What the process is started with: what can only be given then, or should be. No flag that changes what V8 compiles: it
 * would take neither the code that Node's own modules come with, nor any that was kept without it. Such a one is given
 * once all is loaded.
 */
import { setFlagsFromString } from 'node:v8';

export const V8_FLAGS: readonly string[] = [
  // The control thread's share of memory for short-lived objects, in MiB: V8 would take 16.
  '--max-semi-space-size=1',
  // So little survives of what connections allocate that waking helper threads for it costs more than they save.
  '--no-parallel-scavenge',
  '--no-concurrent-array-buffer-sweeping',
  // One helper thread, of all: several compile for a data worker at the cost of the others, and keep 2 MB.
  '--v8-pool-size=1',
];

/**
 * V8 hands a function to TurboFan after 3,000 calls since Maglev compiled it, on threads that need a core for milliseconds
 * while connections wait for it: over some 40,000 connections of a worker. With these the warm-up meets all of that. They
 * do not stay: what it has not met would be compiled after the first few hundred calls of a node that carries little.
 */
export const EARLY_TIER_UP_FLAGS: readonly string[] = [
  '--invocation-count-for-turbofan=150',
  '--minimum-invocations-after-ic-update=100',
];

/** What V8 has without them. */
export const DEFAULT_TIER_UP_FLAGS: readonly string[] = [
  '--invocation-count-for-turbofan=3000',
  '--minimum-invocations-after-ic-update=500',
];

/** For all threads of the process, until that is disposed of. */
export function tierUpEarly(): Disposable {
  for (const flag of EARLY_TIER_UP_FLAGS) setFlagsFromString(flag);
  return {
    [Symbol.dispose]: () => {
      for (const flag of DEFAULT_TIER_UP_FLAGS) setFlagsFromString(flag);
    },
  };
}

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
