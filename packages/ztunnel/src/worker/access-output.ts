/** Where access lines go: to standard output in gathered writes, if the log filter wants them. */
import type { Clock } from '@ambit/core/clock';
import { BufferedOutput, levelFor, type LogFilter, type LogLevel, LOG_LEVELS } from '@ambit/core/log';
import { accessLine, type AccessRecord } from './access-log.ts';
import { ACCESS_LOG_FLUSH_MS, ACCESS_LOG_GATHER_BYTES, ACCESS_LOG_QUEUE_BYTES } from './limits.ts';

export interface AccessOutputOptions {
  readonly filter: LogFilter;
  readonly format: 'plain' | 'json';
  readonly clock: Clock;
  /** Default: standard output. */
  readonly output?: Pick<BufferedOutput, 'write' | 'flush' | 'flushSync'>;
}

const SCOPE = 'access';

export class AccessOutput {
  readonly #output: Pick<BufferedOutput, 'write' | 'flush' | 'flushSync'>;
  readonly #format: 'plain' | 'json';
  readonly #clock: Clock;
  #level = 0;
  #unflushed = false;

  constructor(options: AccessOutputOptions) {
    this.#output =
      options.output ??
      new BufferedOutput({
        fd: 1,
        gatherBytes: ACCESS_LOG_GATHER_BYTES,
        maxQueuedBytes: ACCESS_LOG_QUEUE_BYTES,
      });
    this.#format = options.format;
    this.#clock = options.clock;
    this.filter = options.filter;
  }

  set filter(filter: LogFilter) {
    this.#level = LOG_LEVELS.indexOf(levelFor(filter, SCOPE));
  }

  /** To ask before computing what a line would say. */
  wants(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= this.#level;
  }

  /** It is decided where a connection goes. */
  opened(record: AccessRecord): void {
    this.#write(accessLine(record, this.#format, this.#now(), 'opened'));
  }

  /** A connection ended. */
  ended(record: AccessRecord): void {
    this.#write(accessLine(record, this.#format, this.#now()));
  }

  /** A connection came to nothing before it was known where it would go. */
  refused(
    direction: 'inbound' | 'outbound',
    source: string,
    destination: string | undefined,
    error: string,
  ): void {
    if (!this.wants('warn')) return;
    const fields = {
      'src.addr': source,
      ...(destination === undefined ? {} : { 'dst.addr': destination }),
      direction,
      error,
    };
    const time = this.#now();
    const message = 'connection failed';
    if (this.#format === 'json') {
      this.#write(`${JSON.stringify({ level: 'warn', time, scope: SCOPE, message, ...fields })}\n`);
      return;
    }
    const pairs = Object.entries(fields).map(
      ([name, value]) => `${name}=${name.endsWith('.addr') ? value : JSON.stringify(value)}`,
    );
    this.#write(`${time}\twarn\t${SCOPE}\t${message}\t${pairs.join(' ')}\n`);
  }

  /** For the last words of the thread. */
  flushSync(): void {
    this.#output.flushSync();
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
  }

  #write(line: string): void {
    this.#output.write(line);
    if (this.#unflushed) return;
    this.#unflushed = true;
    this.#clock.after(ACCESS_LOG_FLUSH_MS, () => {
      this.#unflushed = false;
      this.#output.flush();
    });
  }
}
