/**
 * A condition on one text of a request: a header's value, a path, a method, an origin. Compiled, and its regex linear in time.
 *
 * Texts of requests are octets, and so is what they are compared with. A regex alone speaks of characters: it is tried on
 * what the octets mean as UTF-8. Whoever ignores case ignores that of ASCII's letters, as Envoy does: another octet is half a
 * character at most.
 */
import { textOfOctets } from '@ambit/http/header-fields';
import { asciiLowerCase } from '@ambit/core/http-text';
import type { LinearRegex } from '@ambit/core/linear-regex';

export type TextMatch =
  /** `text` is in lower case when `ignoreCase`. */
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly text: string; readonly ignoreCase: boolean }
  /** Must match all of the text. */
  | { readonly kind: 'regex'; readonly regex: LinearRegex }
  /** Any value, the empty one too. */
  | { readonly kind: 'present' };

/** A condition on one of many: a header (its name in lower case) or a query parameter. */
export interface NamedMatch {
  readonly name: string;
  readonly value: TextMatch;
}

/** Whether a text that is there meets the condition. */
export function textMatches(match: TextMatch, text: string): boolean {
  switch (match.kind) {
    case 'exact':
      return match.ignoreCase ? asciiLowerCase(text) === match.text : text === match.text;
    case 'prefix':
      return match.ignoreCase ? asciiLowerCase(text).startsWith(match.text) : text.startsWith(match.text);
    case 'suffix':
      return match.ignoreCase ? asciiLowerCase(text).endsWith(match.text) : text.endsWith(match.text);
    case 'regex':
      return match.regex.matches(textOfOctets(text));
    case 'present':
      return true;
    default:
      return match satisfies never;
  }
}

/** For people: `= a`, `begins with a`, `~ a.*`. */
export function formatTextMatch(match: TextMatch): string {
  switch (match.kind) {
    case 'exact':
      return `= ${textOfOctets(match.text)}${caseNote(match.ignoreCase)}`;
    case 'prefix':
      return `begins with ${textOfOctets(match.text)}${caseNote(match.ignoreCase)}`;
    case 'suffix':
      return `ends with ${textOfOctets(match.text)}${caseNote(match.ignoreCase)}`;
    case 'regex':
      return `~ ${match.regex.pattern}`;
    case 'present':
      return 'is present';
    default:
      return match satisfies never;
  }
}

function caseNote(ignoreCase: boolean): string {
  return ignoreCase ? ' (whatever its case)' : '';
}
