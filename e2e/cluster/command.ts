/** Running the machine's programs: one that ends, with what it said; and one that stays, with its output in a file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, createReadStream, openSync } from 'node:fs';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ProviderError } from './errors.ts';
import type { CommandOutput } from './provider.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
/** Of each stream; more is cut off. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const READ_SIZE_BYTES = 1024 * 1024;

export interface FilePart {
  readonly startByte: number;
  /** Not included. */
  readonly endByte: number;
}

export interface RunOptions {
  readonly stdin?: string;
  /** A file in place of `stdin`, or parts of one. */
  readonly stdinFile?: { readonly path: string; readonly parts?: readonly FilePart[] };
  readonly cwd?: string;
  /** In place of this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
}

/** Runs a command and reports how it ended; what the tests of a provider replace. */
export type Run = (command: readonly string[], options?: RunOptions) => Promise<CommandOutput>;

/** @throws {@link ProviderError} if it cannot be started or takes too long; any exit status is fine. */
export const runCommand: Run = async (command, options = {}) => {
  const [file = '', ...args] = command;
  const { stdinFile } = options;
  // A whole file is the command's own to read.
  const input = stdinFile && !stdinFile.parts ? openSync(stdinFile.path, 'r') : undefined;
  const child = spawn(file, args, {
    stdio: [input ?? 'pipe', 'pipe', 'pipe'],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.env && { env: options.env }),
    timeout: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const output = { stdout: collect(child.stdout), stderr: collect(child.stderr) };
  if (input !== undefined) closeSync(input);
  child.stdin?.on('error', () => undefined);
  // Whoever stops reading before the end says why by its exit status.
  if (child.stdin && stdinFile?.parts)
    pipeline(Readable.from(bytesOf(stdinFile.path, stdinFile.parts)), child.stdin).catch(() => undefined);
  else child.stdin?.end(options.stdin ?? '');
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const [exitCode, signal] = await ended.catch((error: unknown) => {
    throw new ProviderError(`${file} cannot be started`, { cause: error });
  });
  const [stdout, stderr] = [output.stdout(), output.stderr()];
  if (exitCode === null)
    throw new ProviderError(`${command.join(' ')}: ended by ${signal ?? 'a signal'}: ${lastLines(stderr)}`);
  return { exitCode, stdout, stderr };
};

async function* bytesOf(path: string, parts: readonly FilePart[]): AsyncGenerator<Buffer> {
  for (const { startByte, endByte } of parts) {
    const range = { start: startByte, end: endByte - 1, highWaterMark: READ_SIZE_BYTES };
    for await (const chunk of createReadStream(path, range)) yield chunk as Buffer;
  }
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

/** @returns what it printed. @throws {@link ProviderError} unless it ends with 0. */
export async function mustRun(
  command: readonly string[],
  options: RunOptions = {},
  run = runCommand,
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command, options);
  if (exitCode === 0) return stdout;
  throw new ProviderError(`${command.join(' ')} ended with ${exitCode}: ${lastLines(stderr || stdout)}`);
}

export interface DetachedOptions {
  readonly logFile: string;
  readonly env: NodeJS.ProcessEnv;
  /** What the command reads; absent: nothing. */
  readonly stdin?: string;
}

/** Starts a command that outlives this process, in a session of its own. */
export function startDetached(command: readonly string[], options: DetachedOptions): ChildProcess {
  const [file = '', ...args] = command;
  const log = openSync(options.logFile, 'a');
  try {
    const child = spawn(file, args, {
      detached: true,
      env: options.env,
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', log, log],
    });
    child.on('error', () => undefined);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.stdin);
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-6).join('\n') || 'it said nothing';
}

/** @throws {@link ProviderError} naming `what`, after `timeoutMs`. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  options: { readonly timeoutMs: number; readonly everyMs?: number; readonly signal?: AbortSignal },
): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    options.signal?.throwIfAborted();
    if (await holds()) return;
    if (performance.now() > deadline)
      throw new ProviderError(`not within ${options.timeoutMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 100));
  }
}
