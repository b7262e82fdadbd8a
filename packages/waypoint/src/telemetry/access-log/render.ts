/** A log format made into a function that writes a line. Pure. */
import type { AnyRecord } from '../expression/attributes.ts';
import { MAX_LOGGED_VALUE_CHARS } from '../limits.ts';
import { type FormatPart, parseFormat } from './format.ts';
import { compileOperator, type LogValue, type OperatorContext, type ReadValue } from './operators.ts';

export interface CompiledFormat {
  /** A whole line, with its end. */
  readonly line: (record: AnyRecord) => string;
  readonly problems: readonly string[];
}

type Piece = string | ReadValue;

/** A format that does not end its line is given an end. */
export function compileTextFormat(format: string, context: OperatorContext): CompiledFormat {
  const { pieces, problems } = compiledPieces(format.endsWith('\n') ? format : `${format}\n`, context);
  return { line: (record) => textLine(pieces, record), problems };
}

/** A field of one operator alone keeps its type, and is `null` when missing. */
export function compileJsonFormat(
  fields: ReadonlyMap<string, string>,
  context: OperatorContext,
): CompiledFormat {
  const problems: string[] = [];
  const compiled = [...fields].map(([name, format]) => {
    const made = compiledPieces(format, context);
    problems.push(...made.problems);
    return { key: `${JSON.stringify(name)}:`, pieces: made.pieces };
  });
  const line = (record: AnyRecord) =>
    `{${compiled.map(({ key, pieces }) => key + jsonValue(pieces, record)).join(',')}}\n`;
  return { line, problems };
}

function compiledPieces(
  format: string,
  context: OperatorContext,
): { readonly pieces: readonly Piece[]; readonly problems: readonly string[] } {
  const parsed = parseFormat(format);
  const problems = [...parsed.problems];
  const pieces = parsed.parts.map((part: FormatPart): Piece => {
    if (part.kind === 'text') return part.text;
    const compiled = compileOperator(part, context);
    if (compiled.kind === 'value') return compiled.read;
    problems.push(compiled.problem);
    return () => undefined;
  });
  return { pieces, problems };
}

function textLine(pieces: readonly Piece[], record: AnyRecord): string {
  let line = '';
  for (const piece of pieces) line += typeof piece === 'string' ? piece : plainText(piece(record));
  return line;
}

function jsonValue(pieces: readonly Piece[], record: AnyRecord): string {
  const [only] = pieces;
  if (pieces.length !== 1 || typeof only !== 'function') return JSON.stringify(textLine(pieces, record));
  const value = only(record);
  if (value === undefined) return 'null';
  return typeof value === 'number' ? String(value) : JSON.stringify(value.slice(0, MAX_LOGGED_VALUE_CHARS));
}

/** A value never breaks a line in two, nor writes to a terminal. */
function plainText(value: LogValue): string {
  if (value === undefined) return '-';
  if (typeof value === 'number') return String(value);
  const text = value.length > MAX_LOGGED_VALUE_CHARS ? value.slice(0, MAX_LOGGED_VALUE_CHARS) : value;
  return CONTROL.test(text) ? text.replaceAll(CONTROLS, escaped) : text;
}

/** Said by what is none of them. */
const CONTROL = /[^\u0020-\u007e\u00a0-\uffff]/;
const CONTROLS = new RegExp(CONTROL.source, 'g');

function escaped(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
