/**
 * Log lines: the message is a constant sentence, the facts are fields, and every line has a scope.
 *
 * Levels are set as in Rust's `RUST_LOG` (`info,access=debug`), since Istio's tools send that form. Two formats: Istio's
 * tab-separated text, and JSON. Lines go out through one bounded, synchronous writer: a log that loses its last lines
 * in a crash is worth little.
 */
import { type DestinationStream, type Logger as Pino, pino } from 'pino';

export const LOG_LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = Exclude<(typeof LOG_LEVELS)[number], 'off'>;
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** What every component logs through. A field that is `undefined` is left out. */
export interface Logger {
  /** To ask before computing what a line would say. */
  enabled(level: LogLevel): boolean;
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
  /** A logger for a part of this component; its name is this scope's, two colons and `name`. */
  scope(name: string): Logger;
}

/** Which level each scope logs at: the longest scope that is a prefix decides, else `base`. */
export interface LogFilter {
  readonly base: (typeof LOG_LEVELS)[number];
  readonly scopes: ReadonlyMap<string, (typeof LOG_LEVELS)[number]>;
}

/** Reads `info,access=debug`; `undefined` if it is not of that form. */
export function parseLogFilter(text: string): LogFilter | undefined {
  let base: LogFilter['base'] = 'error';
  const scopes = new Map<string, LogFilter['base']>();
  for (const directive of text.split(',')) {
    const [left = '', right, ...rest] = directive.trim().split('=');
    const level = LOG_LEVELS.find((known) => known === (right ?? left).toLowerCase());
    if (level === undefined || rest.length > 0) return undefined;
    if (right === undefined) base = level;
    else if (/^[\w:.-]{1,100}$/.test(left)) scopes.set(left, level);
    else return undefined;
  }
  return { base, scopes };
}

export function formatLogFilter(filter: LogFilter): string {
  return [...[...filter.scopes].map(([scope, level]) => `${scope}=${level}`), filter.base].join(',');
}

/** The level that `scope` logs at. */
export function levelFor(filter: LogFilter, scope: string): LogFilter['base'] {
  let best = '';
  for (const name of filter.scopes.keys()) {
    if ((scope === name || scope.startsWith(`${name}::`)) && name.length > best.length) best = name;
  }
  return filter.scopes.get(best) ?? filter.base;
}

export interface LogOptions {
  readonly filter: LogFilter;
  readonly format: 'plain' | 'json';
  /** Default: standard output, written synchronously. */
  readonly destination?: DestinationStream;
}

/** The root of a process's loggers, and the one place where levels change while it runs. */
export class LogRoot {
  readonly #pino: Pino;
  readonly #loggers = new Map<string, ScopedLogger>();
  #filter: LogFilter;

  constructor(options: LogOptions) {
    const out = options.destination ?? pino.destination({ fd: 1, sync: true });
    const destination: DestinationStream =
      options.format === 'json' ? out : { write: (line) => out.write(plainLine(line)) };
    this.#filter = options.filter;
    this.#pino = pino(
      {
        base: null,
        level: 'trace',
        messageKey: 'message',
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
      },
      destination,
    );
  }

  get filter(): LogFilter {
    return this.#filter;
  }

  set filter(filter: LogFilter) {
    this.#filter = filter;
    for (const [scope, logger] of this.#loggers) logger.pino.level = pinoLevel(levelFor(filter, scope));
  }

  scope(name: string): Logger {
    const known = this.#loggers.get(name);
    if (known) return known;
    const level = pinoLevel(levelFor(this.#filter, name));
    const logger = new ScopedLogger(this, name, this.#pino.child({ scope: name }, { level }));
    this.#loggers.set(name, logger);
    return logger;
  }
}

class ScopedLogger implements Logger {
  readonly #root: LogRoot;
  readonly #name: string;
  readonly pino: Pino;

  constructor(root: LogRoot, name: string, logger: Pino) {
    this.#root = root;
    this.#name = name;
    this.pino = logger;
  }

  enabled(level: LogLevel): boolean {
    return this.pino.isLevelEnabled(level);
  }

  error(message: string, fields: LogFields = {}): void {
    this.pino.error(fields, message);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.pino.warn(fields, message);
  }

  info(message: string, fields: LogFields = {}): void {
    this.pino.info(fields, message);
  }

  debug(message: string, fields: LogFields = {}): void {
    this.pino.debug(fields, message);
  }

  trace(message: string, fields: LogFields = {}): void {
    this.pino.trace(fields, message);
  }

  scope(name: string): Logger {
    return this.#root.scope(`${this.#name}::${name}`);
  }
}

export interface BufferedOutputOptions {
  readonly fd: number;
  /** Lines gather until there are so many bytes, or until {@link BufferedOutput.flush}. */
  readonly gatherBytes: number;
  /** Lines that do not fit are dropped and counted: a reader that stalls must not stall the writer. */
  readonly maxQueuedBytes: number;
}

const MIN_WRITE_BYTES = 16 * 1024;

/** Many lines a second without a system call for each. */
export class BufferedOutput {
  readonly #destination: ReturnType<typeof pino.destination>;
  #dropped = 0;
  /** Lines that were there at a flush may still be gathered. */
  #isFlushDue = false;

  constructor(options: BufferedOutputOptions) {
    const { fd, gatherBytes, maxQueuedBytes } = options;
    this.#destination = pino.destination({
      fd,
      sync: false,
      minLength: gatherBytes,
      // What is gathered must fit into one write; its own default is 16 KiB.
      maxWrite: Math.max(2 * gatherBytes, MIN_WRITE_BYTES),
      maxLength: maxQueuedBytes,
    });
    this.#destination.on('drop', () => {
      this.#dropped += 1;
    });
    this.#destination.on('error', () => undefined);
    this.#destination.on('drain', () => {
      if (!this.#isFlushDue) return;
      this.#isFlushDue = false;
      this.#destination.flush();
    });
  }

  /** Lines that were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    this.#destination.write(line);
  }

  /** All lines until now go out, without waiting for more. */
  flush(): void {
    // During a write it does nothing, and what gathered meanwhile would lie until the next line: hence once more after it.
    this.#isFlushDue = true;
    this.#destination.flush();
  }

  /** For the last words of a process. A write that is under way is over when the process ends, not when this returns. */
  flushSync(): void {
    this.#destination.flushSync();
  }
}

/** Takes every line and keeps none: the default of tests. */
export const silentLogger: Logger = {
  enabled: () => false,
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  trace: () => undefined,
  scope: () => silentLogger,
};

function pinoLevel(level: LogFilter['base']): string {
  return level === 'off' ? 'silent' : level;
}

/** One pino JSON line as `time TAB level TAB scope TAB message TAB key=value …`; strings are quoted. */
function plainLine(line: string): string {
  const { level, time, scope, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${[time, level, scope, message, ...(pairs.length > 0 ? [pairs.join(' ')] : [])].join('\t')}\n`;
}
