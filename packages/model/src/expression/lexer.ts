/** The words of an expression in CEL's notation. Pure. */
import { MAX_EXPRESSION_CHARS } from './limits.ts';

export type Token =
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  /** An operator or bracket. */
  | { readonly kind: 'sign'; readonly text: string }
  | { readonly kind: 'end' };

/** Something that is no expression, in words for its author. */
export class ExpressionProblem extends Error {}

const SIGNS = ['&&', '||', '==', '!=', '<=', '>=', ...'!<>+-*/%?:.,()[]{}'.split('')];
const SPACE = /[ \t\r\n\f]/;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)[uU]?/y;
const ESCAPES: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  '"': '"',
  "'": "'",
  '`': '`',
};
/** How many hexadecimal digits follow. */
const CODE_DIGITS: Readonly<Record<string, number>> = { x: 2, X: 2, u: 4, U: 8 };

/** @throws {@link ExpressionProblem} */
export function tokensOf(source: string): readonly Token[] {
  if (source.length > MAX_EXPRESSION_CHARS)
    throw new ExpressionProblem(`longer than ${MAX_EXPRESSION_CHARS} characters`);
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const char = source[at] ?? '';
    if (SPACE.test(char)) at += 1;
    else if (source.startsWith('//', at)) at = lineEnd(source, at);
    else if (startsText(source, at)) {
      const text = readText(source, at);
      tokens.push({ kind: 'text', value: text.value });
      at = text.end;
    } else {
      const token = readWord(source, at);
      tokens.push(token.token);
      at = token.end;
    }
  }
  tokens.push({ kind: 'end' });
  return tokens;
}

function lineEnd(source: string, at: number): number {
  const end = source.indexOf('\n', at);
  return end < 0 ? source.length : end;
}

function startsText(source: string, at: number): boolean {
  const quote = /[rR]/.test(source[at] ?? '') ? source[at + 1] : source[at];
  return quote === '"' || quote === "'";
}

function readWord(source: string, at: number): { readonly token: Token; readonly end: number } {
  const name = matchAt(NAME, source, at);
  if (name !== undefined) return { token: { kind: 'name', text: name }, end: at + name.length };
  const number = matchAt(NUMBER, source, at);
  if (number !== undefined) {
    const value = Number(number.replace(/[uU]$/, ''));
    return { token: { kind: 'number', value }, end: at + number.length };
  }
  const sign = SIGNS.find((one) => source.startsWith(one, at));
  if (sign === undefined) throw new ExpressionProblem(`character ${at + 1} is no part of an expression`);
  return { token: { kind: 'sign', text: sign }, end: at + sign.length };
}

function matchAt(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

function readText(source: string, start: number): { readonly value: string; readonly end: number } {
  const raw = /[rR]/.test(source[start] ?? '');
  const quoteAt = raw ? start + 1 : start;
  const char = source[quoteAt] ?? '';
  const quote = source.startsWith(char.repeat(3), quoteAt) ? char.repeat(3) : char;
  let at = quoteAt + quote.length;
  let value = '';
  while (!source.startsWith(quote, at)) {
    const next = source[at];
    if (next === undefined || (next === '\n' && quote.length === 1))
      throw new ExpressionProblem(`the text that begins at character ${start + 1} does not end`);
    if (next === '\\' && !raw) {
      const escaped = readEscape(source, at);
      value += escaped.value;
      at = escaped.end;
    } else {
      value += next;
      at += 1;
    }
  }
  return { value, end: at + quote.length };
}

function readEscape(source: string, at: number): { readonly value: string; readonly end: number } {
  const letter = source[at + 1] ?? '';
  const plain = ESCAPES[letter];
  if (plain !== undefined) return { value: plain, end: at + 2 };
  const digits = CODE_DIGITS[letter];
  const from = digits === undefined ? at + 1 : at + 2;
  const text = source.slice(from, from + (digits ?? 3));
  const valid = digits === undefined ? /^[0-3][0-7]{2}$/ : /^[0-9a-fA-F]+$/;
  const code = parseInt(text, digits === undefined ? 8 : 16);
  if (
    !valid.test(text) ||
    text.length < (digits ?? 3) ||
    code > 0x10ffff ||
    (code >= 0xd800 && code < 0xe000)
  )
    throw new ExpressionProblem(`character ${at + 1} begins no escape`);
  return { value: String.fromCodePoint(code), end: from + text.length };
}
