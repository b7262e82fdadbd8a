#!/usr/bin/env node
/**
 * The entry: gives the process the settings that can only be given at its start, by starting it once more in its own
 * place (same process id); then process.ts.
 */
/** Room for short-lived objects in MiB, and by how many percent the rest may grow before garbage is looked for. */
const FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=100'];
/**
 * Of glibc's allocator: what is larger than this many bytes is given back to the system when it is freed. Left alone, it
 * raises the limit with the first large response and then keeps the holes that the next ones leave.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

const { argv, env, execArgv, execPath } = process;
const [, main = '', ...args] = argv;
if (process.execve && !FLAGS.every((flag) => execArgv.includes(flag))) {
  // Node would say on standard error that this call is experimental.
  process.removeAllListeners('warning');
  process.execve(execPath, [execPath, ...FLAGS, ...execArgv, main, ...args], { ...ALLOCATOR, ...env });
}
const { runProcess } = await import('./process.ts');
process.exit(await runProcess(env));
