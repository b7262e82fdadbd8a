/** A substitution by regular expression: the pattern compiled, the replacement taken apart. */
import { type CompiledRegex, LinearRegex } from '@ambit/core/linear-regex';

export interface RegexRewrite {
  readonly regex: LinearRegex;
  /** Texts, and the numbers of the groups whose text stands between them; 0 is the whole match. */
  readonly parts: readonly (string | number)[];
}

/** @returns What is wrong with it, in words, if it cannot be one. */
export function compileRewrite(pattern: string, replacement: string): RegexRewrite | string {
  const compiled: CompiledRegex = LinearRegex.compile(pattern);
  if (compiled.kind === 'problem') return compiled.problem;
  const parts = partsOf(replacement);
  if (parts === undefined)
    return `replacement ${replacement}: a backslash is followed by a digit or a backslash`;
  const group = parts.find((part) => typeof part === 'number' && part > compiled.regex.groups);
  if (group !== undefined) return `replacement ${replacement}: there is no group ${group} in ${pattern}`;
  return { regex: compiled.regex, parts };
}

/** Every match replaced. */
export function rewriteText({ regex, parts }: RegexRewrite, text: string): string {
  return regex.replaceAll(text, parts);
}

function partsOf(replacement: string): readonly (string | number)[] | undefined {
  const parts: (string | number)[] = [];
  let text = '';
  for (let i = 0; i < replacement.length; i++) {
    const char = replacement.charAt(i);
    if (char !== '\\') {
      text += char;
      continue;
    }
    const next = replacement.charAt(++i);
    if (next === '\\') text += next;
    else if (next >= '0' && next <= '9') {
      parts.push(text, Number(next));
      text = '';
    } else return undefined;
  }
  parts.push(text);
  return parts.filter((part) => part !== '');
}
