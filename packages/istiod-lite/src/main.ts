#!/usr/bin/env node
/**
 * The entry: gives the process the settings that can only be given at its start, by starting it once more in its own
 * place (same process id); then process.ts.
 */
import { fileURLToPath } from 'node:url';
import { V8_FLAGS } from './runtime.ts';

/**
 * Of glibc's allocator: what is larger than this many bytes is given back to the system when it is freed. Left alone, it
 * raises the limit with the first large response and then keeps the holes that the next ones leave.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

/** Compiled code is kept between starts, as ztunnel's is; where it cannot be written, everything works without it. */
const CACHE = import.meta.url.endsWith('.ts')
  ? '../../../node_modules/.cache/ambit-istiod'
  : './compile-cache';

const { argv, env, execArgv, execPath } = process;
const [, main = '', ...args] = argv;
if (process.execve && !V8_FLAGS.every((flag) => execArgv.includes(flag))) {
  // Node would say on standard error that this call is experimental.
  process.removeAllListeners('warning');
  const settings = {
    ...ALLOCATOR,
    NODE_COMPILE_CACHE: fileURLToPath(new URL(CACHE, import.meta.url)),
    NODE_COMPILE_CACHE_PORTABLE: '1',
  };
  process.execve(execPath, [execPath, ...V8_FLAGS, ...execArgv, main, ...args], { ...settings, ...env });
}
const { runProcess } = await import('./process.ts');
process.exit(await runProcess(env));
