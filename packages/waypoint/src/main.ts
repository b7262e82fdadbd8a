#!/usr/bin/env node
/**
 * The entry: gives the process the settings that can only be given at its start, by starting it once more in its own
 * place (same process id); then process.ts.
 *
 * Compiled code is kept between starts, beside the dependencies, where only who may change those can write. Where it cannot
 * be written, everything works without it.
 */
import { fileURLToPath } from 'node:url';
import { ALLOCATOR, V8_FLAGS } from './runtime.ts';

/** http-proxy uses a function that Node has a newer one for, and would say so on standard error. */
const QUIET = '--disable-warning=DEP0060';
const CACHE = import.meta.url.endsWith('.ts')
  ? '../../../node_modules/.cache/ambit-waypoint'
  : './compile-cache';

const { argv, env, execArgv, execPath } = process;
const [, main = '', ...args] = argv;
const mayRunLong = args[0] === undefined || args[0] === 'proxy';
if (mayRunLong && process.execve && !V8_FLAGS.every((flag) => execArgv.includes(flag))) {
  // Node would say on standard error that this call is experimental.
  process.removeAllListeners('warning');
  const settings = {
    ...ALLOCATOR,
    NODE_COMPILE_CACHE: fileURLToPath(new URL(CACHE, import.meta.url)),
    NODE_COMPILE_CACHE_PORTABLE: '1',
  };
  process.execve(execPath, [execPath, ...V8_FLAGS, QUIET, ...execArgv, main, ...args], {
    ...settings,
    ...env,
  });
}
const { runProcess } = await import('./process.ts');
process.exit(await runProcess({ args, env }));
