/**
 * Configuration declared once: one table gives the type, the parser, `--help` and the reference page.
 *
 * Every problem is reported at once, with the name, the value and what was wanted. A secret is declared with
 * `secret: true` and its value never appears in a message.
 */
import { MeshError } from '../errors.ts';

/** What a variable's text must be, and what becomes of it. */
export interface Variable<T> {
  readonly env: string;
  readonly default: T;
  readonly doc: string;
  /** In the words of an error and of the reference: "true or false". */
  readonly want: string;
  readonly secret: boolean;
  /** The value, or `undefined` if `text` is not what is wanted. */
  readonly parse: (text: string) => T | undefined;
}

export type Schema = Readonly<Record<string, Variable<unknown>>>;
export type Infer<S extends Schema> = { readonly [K in keyof S]: S[K] extends Variable<infer T> ? T : never };

interface Declared<T> {
  readonly env: string;
  readonly default: T;
  readonly doc: string;
  readonly secret?: boolean;
}

function variable<T>(declared: Declared<T>, want: string, parse: Variable<T>['parse']): Variable<T> {
  return { ...declared, want, parse, secret: declared.secret ?? false };
}

export function text(declared: Declared<string>): Variable<string>;
export function text(declared: Declared<string | undefined>): Variable<string | undefined>;
export function text(declared: Declared<string | undefined>): Variable<string | undefined> {
  return variable(declared, 'text', (value) => value);
}

/** Exactly `true` or `false`, as Istio's ztunnel has it. */
export function flag(declared: Declared<boolean>): Variable<boolean>;
export function flag(declared: Declared<boolean | undefined>): Variable<boolean | undefined>;
export function flag(declared: Declared<boolean | undefined>): Variable<boolean | undefined> {
  return variable(declared, 'true or false', (value) =>
    value === 'true' ? true : value === 'false' ? false : undefined,
  );
}

/** A whole number within `[min, max]`, decimal, with an optional leading `+`. */
export function integer(declared: Declared<number> & { min?: number; max?: number }): Variable<number>;
export function integer(
  declared: Declared<number | undefined> & { min?: number; max?: number },
): Variable<number | undefined>;
export function integer(
  declared: Declared<number | undefined> & { min?: number; max?: number },
): Variable<number | undefined> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = declared;
  return variable(declared, `a whole number from ${min} to ${max}`, (value) => {
    const number = Number(value);
    return /^\+?[0-9]+$/.test(value) && number >= min && number <= max ? number : undefined;
  });
}

/** One of a few words. */
export function oneOf<const T extends string>(declared: Declared<T> & { of: readonly T[] }): Variable<T> {
  return variable(declared, declared.of.join(' or '), (value) => declared.of.find((word) => word === value));
}

/** Names, separated by commas; spaces around them, and what is empty, are left out. */
export function names(declared: Declared<ReadonlySet<string>>): Variable<ReadonlySet<string>> {
  return variable(declared, 'names, separated by commas', (value) => {
    const parts = value.split(',').map((name) => name.trim());
    return new Set(parts.filter((name) => name !== ''));
  });
}

/** A duration in milliseconds; see {@link parseDurationMs}. */
export function durationMs(declared: Declared<number>): Variable<number>;
export function durationMs(declared: Declared<number | undefined>): Variable<number | undefined>;
export function durationMs(declared: Declared<number | undefined>): Variable<number | undefined> {
  return variable(declared, 'a duration such as 500ms, 5s or 1h30m (no unit: seconds)', parseDurationMs);
}

/** Text that `parse` understands; `want` says what that is. */
export function parsed<T>(
  declared: Declared<T> & { want: string; parse: Variable<T>['parse'] },
): Variable<T> {
  return variable(declared, declared.want, declared.parse);
}

const UNIT_MS: readonly (readonly [unit: RegExp, ms: number])[] = [
  [/^(y|years?)$/, 365 * 86_400_000],
  [/^(mon|months?)$/, 30 * 86_400_000],
  [/^(w|weeks?)$/, 7 * 86_400_000],
  [/^(d|days?)$/, 86_400_000],
  [/^(h|hr|hours?)$/, 3_600_000],
  [/^(m|min|minutes?)$/, 60_000],
  [/^(|s|sec|seconds?)$/, 1_000],
  [/^(ms|msec|milliseconds?)$/, 1],
  [/^(us|usec|µs|usecond|microseconds?)$/, 1e-3],
  [/^(ns|nsec|nanoseconds?)$/, 1e-6],
];

/**
 * Milliseconds of a duration as Istio's ztunnel reads them: terms of digits and a unit (none: seconds), joined by
 * nothing, spaces, `+` (sum) or `*` (product, in seconds). No fractions, no signs.
 */
export function parseDurationMs(text: string): number | undefined {
  const terms = [...text.trim().matchAll(/\s*([+*]?)\s*([0-9]+)\s*([a-zµ]*)/giu)];
  if (terms.length === 0 || terms.map((term) => term[0]).join('') !== text.trim()) return undefined;
  let total: number | undefined;
  for (const [, operator = '', digits = '', unit = ''] of terms) {
    const ms = UNIT_MS.find(([name]) => name.test(unit.toLowerCase()))?.[1];
    if (ms === undefined || (total === undefined && operator !== '')) return undefined;
    const value = Number(digits) * ms;
    total = total === undefined ? value : operator === '*' ? (total / 1_000) * value : total + value;
  }
  return total;
}

/** All that is wrong with the environment, one line each. */
export class ConfigError extends MeshError {
  readonly code = 'CONFIG';
  readonly side = 'internal';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`invalid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads every variable of `schema` from `env`; an unset one takes its default.
 *
 * @throws {@link ConfigError} naming every variable that is not what it must be.
 */
export function loadConfig<S extends Schema>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
): Infer<S> {
  const problems: string[] = [];
  const entries = Object.entries(schema).map(
    ([key, { env: name, parse, want, secret, default: fallback }]) => {
      const given = env[name];
      if (given === undefined) return [key, fallback];
      const value = parse(given);
      if (value === undefined)
        problems.push(`invalid env var ${name}=${secret ? '(hidden)' : given}: want ${want}`);
      return [key, value];
    },
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.fromEntries(entries) as Infer<S>;
}

/** As {@link loadConfig}, with the problems added to others that were found. */
export function collectConfig<S extends Schema>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): Infer<S> | undefined {
  try {
    return loadConfig(schema, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}
