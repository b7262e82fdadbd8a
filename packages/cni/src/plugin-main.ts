/** The CNI plugin's process: environment and standard input in, standard output and exit code out. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ambit/core/clock';
import { PLUGIN_STDIN_MAX_BYTES } from './limits.ts';
import { askAgent } from './plugin/agent-client.ts';
import { CniError } from './plugin/errors.ts';
import { runPlugin } from './plugin/plugin.ts';

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > PLUGIN_STDIN_MAX_BYTES)
      throw new CniError('ioFailure', `standard input has more than ${PLUGIN_STDIN_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const { stdout, exitCode } = await runPlugin({
    env: process.env,
    readStdin,
    askAgent,
    readFile,
    clock: systemClock,
    log: (msg) =>
      void process.stderr.write(`${JSON.stringify({ level: 'info', time: systemClock.now(), msg })}\n`),
  });
  process.exitCode = exitCode;
  process.stdout.write(stdout);
}

void main();
