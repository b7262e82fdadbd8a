#!/usr/bin/env node
/**
 * The entry: turns on the cache of compiled code before there is code to compile; then process.ts.
 *
 * What strips types takes megabytes of every thread, and is not even loaded when the cache has all files. Code that comes
 * from the cache is run as it is: it lies beside the dependencies, where only who may change those can write, never in a
 * temporary folder that is shared. Where it cannot be written, everything works without it.
 */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

const folder = import.meta.url.endsWith('.ts')
  ? '../../../node_modules/.cache/ambit-ztunnel'
  : './compile-cache';
const compileCache = fileURLToPath(new URL(folder, import.meta.url));
enableCompileCache(compileCache);
const { runProcess } = await import('./process.ts');
process.exit(await runProcess({ args: process.argv.slice(2), env: process.env, compileCache }));
