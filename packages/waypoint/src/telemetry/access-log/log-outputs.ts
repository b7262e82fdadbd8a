/**
 * Where access lines go: the process's outputs, in gathered writes that nothing waits for.
 *
 * A reader that does not keep up costs lines, which are counted, never requests.
 */
import type { Clock } from '@ambit/core/clock';
import { BufferedOutput } from '@ambit/core/log';
import { ACCESS_LOG_FLUSH_MS, ACCESS_LOG_GATHER_BYTES, ACCESS_LOG_QUEUE_BYTES } from '../limits.ts';
import type { LogOutput } from './log-plan.ts';

export type LineOutput = Pick<BufferedOutput, 'write' | 'flush' | 'flushSync' | 'dropped'>;

const FILE_DESCRIPTOR: Readonly<Record<LogOutput, number>> = { stdout: 1, stderr: 2 };

export function processOutput(output: LogOutput): LineOutput {
  return new BufferedOutput({
    fd: FILE_DESCRIPTOR[output],
    gatherBytes: ACCESS_LOG_GATHER_BYTES,
    maxQueuedBytes: ACCESS_LOG_QUEUE_BYTES,
  });
}

export class LogOutputs {
  readonly #clock: Clock;
  readonly #open: (output: LogOutput) => LineOutput;
  readonly #outputs = new Map<LogOutput, LineOutput>();
  #waits = false;

  /** @param open - Opens one when the first line goes there. */
  constructor(clock: Clock, open: (output: LogOutput) => LineOutput = processOutput) {
    this.#clock = clock;
    this.#open = open;
  }

  /** Lines that were dropped since the start. */
  get dropped(): number {
    return [...this.#outputs.values()].reduce((sum, { dropped }) => sum + dropped, 0);
  }

  write(output: LogOutput, line: string): void {
    this.#outputOf(output).write(line);
    if (this.#waits) return;
    this.#waits = true;
    this.#clock.after(ACCESS_LOG_FLUSH_MS, () => {
      this.#waits = false;
      for (const one of this.#outputs.values()) one.flush();
    });
  }

  /** For the last words of the process. */
  flushSync(): void {
    for (const one of this.#outputs.values()) one.flushSync();
  }

  #outputOf(output: LogOutput): LineOutput {
    const known = this.#outputs.get(output);
    if (known) return known;
    const made = this.#open(output);
    this.#outputs.set(output, made);
    return made;
  }
}
