/** The `ambit` command: hands the process over to `run` and ends with its exit code. */
import { systemClock } from '@ambit/core/clock';
import { run } from './run.ts';

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort());
// A reader that went away, such as `head`, is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  clock: systemClock,
  signal: interrupt.signal,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
});
