/**
 * The values of an authorization condition: exact, `prefix*`, `*suffix` or `*`, as alternatives.
 *
 * Exact ones are a set, so that a policy that names a thousand principals costs no more than one that names two.
 */
import { asciiLowerCase } from '@ambit/core/http-text';

export interface ValueMatch {
  /** In lower case when `ignoreCase`. */
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  /** Written `*`: any value but the empty one. */
  readonly present: boolean;
  readonly ignoreCase: boolean;
}

export function valueMatchOf(
  values: readonly string[],
  options: { readonly ignoreCase: boolean },
): ValueMatch {
  const { ignoreCase } = options;
  const texts = ignoreCase ? values.map(asciiLowerCase) : values;
  const isPrefix = (text: string) => text.length > 1 && text.endsWith('*');
  const isSuffix = (text: string) => text.length > 1 && !isPrefix(text) && text.startsWith('*');
  return {
    exact: new Set(texts.filter((text) => text !== '*' && !isPrefix(text) && !isSuffix(text))),
    prefixes: texts.filter(isPrefix).map((text) => text.slice(0, -1)),
    suffixes: texts.filter(isSuffix).map((text) => text.slice(1)),
    present: texts.includes('*'),
    ignoreCase,
  };
}

/** The empty text is "no value": nothing but an exact empty value matches it. */
export function valueMatches(match: ValueMatch, value: string): boolean {
  const text = match.ignoreCase ? asciiLowerCase(value) : value;
  if (match.exact.has(text)) return true;
  if (text === '') return false;
  if (match.present) return true;
  for (const prefix of match.prefixes) if (text.startsWith(prefix)) return true;
  for (const suffix of match.suffixes) if (text.endsWith(suffix)) return true;
  return false;
}
