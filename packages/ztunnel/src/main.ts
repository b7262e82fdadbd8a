#!/usr/bin/env node
/**
 * The entry: gives the process the settings that can only be given at its start, by starting it once more in its own
 * place (same process id); then process.ts.
 *
 * Compiled code is kept between starts, so that Node's type stripper is not even loaded. It lies beside the dependencies,
 * where only who may change those can write, never in a temporary folder that is shared, since it is run as it is. Where
 * it cannot be written, everything works without it.
 */
import { fileURLToPath } from 'node:url';
import { settingsFor, V8_FLAGS } from './runtime.ts';

const CACHE = import.meta.url.endsWith('.ts')
  ? '../../../node_modules/.cache/ambit-ztunnel'
  : './compile-cache';

const { argv, env, execArgv, execPath } = process;
const [, main = '', ...args] = argv;
const settings = settingsFor(fileURLToPath(new URL(CACHE, import.meta.url)));
const mayRunLong = args[0] === undefined || args[0] === 'proxy';
if (mayRunLong && process.execve && !V8_FLAGS.every((flag) => execArgv.includes(flag))) {
  // Node would say on standard error that this call is experimental.
  process.removeAllListeners('warning');
  process.execve(execPath, [execPath, ...V8_FLAGS, ...execArgv, main, ...args], { ...settings, ...env });
}
const { runProcess } = await import('./process.ts');
process.exit(await runProcess({ args, env, compileCache: env['NODE_COMPILE_CACHE'] }));
