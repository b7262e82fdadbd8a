/**
 * Running `nft`, `iptables-restore` and their like inside a pod's network namespace.
 *
 * A child is in the namespace that the thread which starts it is in at that moment, so only the start happens inside,
 * and nothing but the kernel's own namespace file is needed: no `nsenter`, no path, no process of the pod.
 */
import { spawn } from 'node:child_process';
import { messageOf } from '@ambit/core/errors';
import { NETNS_CURRENT, runInNetns } from '@ambit/linux/netns';
import { COMMAND_OUTPUT_MAX_BYTES, COMMAND_TIMEOUT_MS } from '../limits.ts';
import { CommandError } from './errors.ts';

export interface Command {
  /** Found in PATH. */
  readonly file: string;
  readonly args: readonly string[];
  readonly stdin?: string;
  /** Default: the namespace of this process. */
  readonly netnsFd?: number;
  /** Exit codes that are no failure. Default: 0 alone. */
  readonly accept?: readonly number[];
}

export interface CommandOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws {@link CommandError} if it cannot be started, fails, takes too long or prints too much. */
export type RunCommand = (command: Command) => Promise<CommandOutput>;

export const runCommand: RunCommand = async (command) => {
  const { file, args, stdin = '', netnsFd = NETNS_CURRENT, accept = [0] } = command;
  const { promise, resolve, reject } = Promise.withResolvers<CommandOutput>();
  const fail = (error: unknown) => new CommandError(file, undefined, messageOf(error), { cause: error });
  const child = runInNetns(netnsFd, () => {
    try {
      return spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: COMMAND_TIMEOUT_MS });
    } catch (error) {
      throw fail(error);
    }
  });
  child.once('error', (error) => reject(fail(error)));
  // Not started; where descriptors are what is missing, it has no pipes either.
  if (child.pid === undefined) return promise;
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.once('close', (exitCode, signal) => {
    const said = stderr().trim() || (signal === null ? 'it said nothing' : `ended by ${signal}`);
    if (exitCode === null || !accept.includes(exitCode))
      reject(new CommandError(file, exitCode ?? undefined, said));
    else resolve({ exitCode, stdout: stdout(), stderr: stderr() });
  });
  child.stdin.once('error', () => undefined);
  child.stdin.end(stdin);
  return promise;

  function collect(stream: NodeJS.ReadableStream): () => string {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= COMMAND_OUTPUT_MAX_BYTES) chunks.push(chunk);
      else child.kill('SIGKILL');
    });
    return () => Buffer.concat(chunks).toString('utf8');
  }
};
