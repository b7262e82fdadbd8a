/**
 * Regular expressions as users write them for Envoy: RE2's syntax, matched in time linear in the text.
 *
 * V8's own engine backtracks, so that one rule and one header could hold up every request of the process. The library
 * (re2js, docs/decisions/0012) is RE2 itself in JavaScript; what we add are bounds on the pattern and on the text.
 */
import { RE2JS, RE2JSException } from 're2js';

/** Characters of a regular expression. */
const MAX_REGEX_LENGTH = 1_024;
/** Instructions of a compiled one: what a character of text costs at worst. */
const MAX_REGEX_PROGRAM_SIZE = 1_000;
/** Characters of a text that a regular expression is tried on; a longer one does not match. */
const MAX_REGEX_TEXT_LENGTH = 8_192;

export type CompiledRegex =
  | { readonly kind: 'regex'; readonly regex: LinearRegex }
  | { readonly kind: 'problem'; readonly problem: string };

export interface LinearRegexOptions {
  readonly ignoreCase: boolean;
}

export class LinearRegex {
  readonly pattern: string;
  readonly #compiled: RE2JS;

  private constructor(pattern: string, compiled: RE2JS) {
    this.pattern = pattern;
    this.#compiled = compiled;
  }

  /** Never throws: whatever is no pattern, or too large a one, is a problem in words. */
  static compile(pattern: string, options: LinearRegexOptions = { ignoreCase: false }): CompiledRegex {
    if (pattern.length > MAX_REGEX_LENGTH) {
      return { kind: 'problem', problem: `regex longer than ${MAX_REGEX_LENGTH} characters` };
    }
    try {
      const compiled = RE2JS.compile(pattern, options.ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
      if (compiled.programSize() > MAX_REGEX_PROGRAM_SIZE) {
        return {
          kind: 'problem',
          problem: `regex ${pattern} needs more than ${MAX_REGEX_PROGRAM_SIZE} steps`,
        };
      }
      return { kind: 'regex', regex: new LinearRegex(pattern, compiled) };
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
      return { kind: 'problem', problem: `regex ${pattern}: ${error.message}` };
    }
  }

  /** Whether all of `text` matches. A text beyond the limit never does. */
  matches(text: string): boolean {
    return text.length <= MAX_REGEX_TEXT_LENGTH && this.#compiled.testExact(text);
  }

  /** How many groups the pattern has, the whole match not counted. */
  get groups(): number {
    return this.#compiled.groupCount();
  }

  /**
   * `text` with every match replaced by the parts in turn: a text is itself, a number the group's text.
   * A text beyond the limit stays as it is.
   */
  replaceAll(text: string, parts: readonly (string | number)[]): string {
    if (text.length > MAX_REGEX_TEXT_LENGTH) return text;
    return this.#compiled
      .matcher(text)
      .replaceAll((...found: unknown[]) =>
        parts.map((part) => (typeof part === 'string' ? part : String(found[part] ?? ''))).join(''),
      );
  }
}
