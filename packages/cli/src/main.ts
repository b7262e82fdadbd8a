#!/usr/bin/env node
/** The `ambit` command: hands the process over to `run` and ends with its exit code. */
import { createInterface } from 'node:readline/promises';
import { systemClock } from '@ambit/core/clock';
import { run } from './run.ts';

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort());
// A reader that went away, such as `head`, is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

/** On standard error, as standard output may be read by a program. Only a terminal has somebody to ask. */
async function ask(question: string): Promise<boolean | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  terminal.once('SIGINT', () => interrupt.abort());
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: interrupt.signal });
    return /^\s*y(es)?\s*$/i.test(answer);
  } finally {
    terminal.close();
  }
}

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  clock: systemClock,
  signal: interrupt.signal,
  print: (text) => void process.stdout.write(text),
  ask,
  printError: (text) => void process.stderr.write(text),
});
