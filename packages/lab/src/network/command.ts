/** Running iproute2 and friends; an error names the command and what it said. */
import { execFile } from 'node:child_process';
import { MeshError } from '@ambit/core/errors';

const TIMEOUT_MS = 20_000;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

export class CommandError extends MeshError {
  readonly code = 'COMMAND';
  readonly side = 'internal';
  readonly stderr: string;

  constructor(command: readonly string[], stderr: string) {
    super(`${command.join(' ')}: ${stderr.trim() || 'failed without a word'}`);
    this.stderr = stderr;
  }
}

/** @throws {@link CommandError} */
export function run(command: readonly string[], stdin = ''): Promise<string> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        if (error) reject(new CommandError(command, stderr || error.message));
        else resolve(stdout);
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
  });
}

/** Several `ip` commands at once, in one process: a line each, without the leading `ip`. */
export async function ipBatch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const at = namespace === undefined ? [] : ['-n', namespace];
  await run(['ip', ...at, '-batch', '-'], `${lines.join('\n')}\n`);
}
