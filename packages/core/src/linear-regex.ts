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
/** Instructions times characters of one call: up to 60 ms where the automaton is of no use, which is seldom. */
const MAX_REGEX_STEPS = 400_000;

export type CompiledRegex =
  | { readonly kind: 'regex'; readonly regex: LinearRegex }
  | { readonly kind: 'problem'; readonly problem: string };

export interface LinearRegexOptions {
  readonly ignoreCase: boolean;
}

export class LinearRegex {
  readonly pattern: string;
  readonly #compiled: RE2JS;
  readonly #programSize: number;

  private constructor(pattern: string, compiled: RE2JS) {
    this.pattern = pattern;
    this.#compiled = compiled;
    this.#programSize = Math.max(1, compiled.programSize());
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

  /** Whether all of `text` matches. One that may not be tried never does: whoever decides by it asks {@link mayTry} first. */
  matches(text: string): boolean {
    return this.mayTry(text) && this.#compiled.testExact(text);
  }

  /** How many groups the pattern has, the whole match not counted. */
  get groups(): number {
    return this.#compiled.groupCount();
  }

  /**
   * `text` with every match replaced by the parts in turn: a text is itself, a number the group's text. A text beyond the
   * limits stays as it is, and so does what is behind as many matches as may be looked for: each may read all of the text.
   */
  replaceAll(text: string, parts: readonly (string | number)[]): string {
    if (!this.mayTry(text)) return text;
    const matcher = this.#compiled.matcher(text);
    let left = Math.floor(MAX_REGEX_STEPS / (this.#programSize * Math.max(1, text.length)));
    let replaced = '';
    let at = -1;
    for (; left > 0 && matcher.find(); left--) {
      // As RE2 has it: nothing is matched where the last match ended.
      if (matcher.start() === at && matcher.end() === at) continue;
      replaced += text.slice(Math.max(0, at), matcher.start());
      for (const part of parts) replaced += typeof part === 'string' ? part : (matcher.group(part) ?? '');
      at = matcher.end();
    }
    return replaced + text.slice(Math.max(0, at));
  }

  /** Whether the text is within the limits, those of this pattern too. */
  mayTry(text: string): boolean {
    return text.length <= MAX_REGEX_TEXT_LENGTH && text.length * this.#programSize <= MAX_REGEX_STEPS;
  }
}
