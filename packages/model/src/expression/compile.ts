/**
 * Expressions of users, made into functions of a context. Pure; what they may name is a table that the caller brings.
 *
 * CEL's rules where they matter: a value that is missing makes what it is part of missing, except that `false && x` and
 * `true || x` are known whatever `x` is. Nothing throws, loops or waits. One number stands for CEL's three kinds, and a
 * duration is its milliseconds.
 */
import { LinearRegex } from '@ambit/core/linear-regex';
import { ExpressionProblem } from './lexer.ts';
import { type BinarySign, type Node, parseExpression } from './parser.ts';

/** `undefined`: missing, or of no use where it stands. */
export type Value = string | number | boolean | null | readonly Value[] | undefined;
export type Evaluate<C> = (context: C) => Value;

/**
 * What a name stands for: `['request', 'headers', 'x-a']` for both `request.headers["x-a"]` and `request.headers.x-a`.
 * `undefined`: it stands for nothing here.
 */
export type Attributes<C> = (path: readonly string[]) => Evaluate<C> | undefined;

export type Compiled<C> =
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'expression'; readonly evaluate: Evaluate<C> }
  | { readonly kind: 'problem'; readonly problem: string };

/** Never throws: what cannot be compiled is a problem in words. */
export function compileExpression<C>(source: string, attributes: Attributes<C>): Compiled<C> {
  try {
    const compiler = new Compiler(attributes);
    const evaluate = compiler.compile(parseExpression(source));
    if (compiler.usesContext) return { kind: 'expression', evaluate };
    // Nothing in it asks the context.
    return { kind: 'constant', value: (evaluate as Evaluate<undefined>)(undefined) };
  } catch (error) {
    if (!(error instanceof ExpressionProblem)) throw error;
    return { kind: 'problem', problem: error.message };
  }
}

/** As a label or tag says it; `undefined` for what is no single value. */
export function textOf(value: Value): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}

type Arguments = readonly Value[];

/** Functions, and methods with their receiver as first argument. */
const FUNCTIONS: Readonly<
  Record<string, { readonly count: number; readonly run: (args: Arguments) => Value }>
> = {
  size: { count: 1, run: ([of]) => (typeof of === 'string' || isList(of) ? of.length : undefined) },
  string: { count: 1, run: ([of]) => textOf(of) },
  int: { count: 1, run: ([of]) => wholeNumber(of) },
  uint: { count: 1, run: ([of]) => wholeNumber(of) },
  double: { count: 1, run: ([of]) => numberOf(of) },
  duration: { count: 1, run: ([of]) => (typeof of === 'string' ? durationMs(of) : undefined) },
  startsWith: { count: 2, run: texts((of, part) => of.startsWith(part)) },
  endsWith: { count: 2, run: texts((of, part) => of.endsWith(part)) },
  contains: { count: 2, run: texts((of, part) => of.includes(part)) },
  lowerAscii: { count: 1, run: ([of]) => (typeof of === 'string' ? of.toLowerCase() : undefined) },
  upperAscii: { count: 1, run: ([of]) => (typeof of === 'string' ? of.toUpperCase() : undefined) },
};
const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  ns: 1e-6,
};

class Compiler<C> {
  readonly #attributes: Attributes<C>;
  usesContext = false;

  constructor(attributes: Attributes<C>) {
    this.#attributes = attributes;
  }

  compile(node: Node): Evaluate<C> {
    switch (node.kind) {
      case 'literal':
        return constantly(node.value);
      case 'name':
      case 'field':
      case 'index':
        return this.#attribute(node);
      case 'call':
        return this.#call(node);
      case 'unary':
        return unary(node.sign, this.compile(node.of));
      case 'binary':
        return binary(node.sign, this.compile(node.left), this.compile(node.right));
      case 'choice':
        return choice(this.compile(node.when), this.compile(node.then), this.compile(node.otherwise));
      case 'list': {
        const items = node.items.map((item) => this.compile(item));
        return (context) => items.map((item) => item(context));
      }
    }
  }

  #attribute(node: Node): Evaluate<C> {
    const path = pathOf(node);
    const attribute = this.#attributes(path);
    if (!attribute) throw new ExpressionProblem(`${path.join('.')} is not known here`);
    this.usesContext = true;
    return attribute;
  }

  #call(node: Extract<Node, { readonly kind: 'call' }>): Evaluate<C> {
    const args = node.of ? [node.of, ...node.args] : node.args;
    if (node.name === 'has' && args.length === 1) return this.#has(args[0] as Node);
    if (node.name === 'matches' && args.length === 2) return this.#matches(args[0] as Node, args[1] as Node);
    const known = Object.hasOwn(FUNCTIONS, node.name) ? FUNCTIONS[node.name] : undefined;
    if (known?.count !== args.length)
      throw new ExpressionProblem(`${node.name} with ${args.length} values is not known here`);
    const compiled = args.map((arg) => this.compile(arg));
    return (context) => known.run(compiled.map((arg) => arg(context)));
  }

  #has(of: Node): Evaluate<C> {
    const value = this.#attribute(of);
    return (context) => value(context) !== undefined;
  }

  #matches(of: Node, pattern: Node): Evaluate<C> {
    if (pattern.kind !== 'literal' || typeof pattern.value !== 'string')
      throw new ExpressionProblem('matches takes a pattern that is written out');
    const compiled = LinearRegex.compile(`(?s:.*)(?:${pattern.value})(?s:.*)`);
    if (compiled.kind === 'problem') throw new ExpressionProblem(compiled.problem);
    const text = this.compile(of);
    return (context) => {
      const value = text(context);
      return typeof value === 'string' ? compiled.regex.matches(value) : undefined;
    };
  }
}

/** Names and written-out keys, from the root. */
function pathOf(node: Node): readonly string[] {
  switch (node.kind) {
    case 'name':
      return [node.name];
    case 'field':
      return [...pathOf(node.of), node.name];
    case 'index':
      if (node.index.kind !== 'literal' || typeof node.index.value !== 'string') break;
      return [...pathOf(node.of), node.index.value];
    default:
  }
  throw new ExpressionProblem('fields are taken of names alone, and by keys that are written out');
}

function constantly<C>(value: Value): Evaluate<C> {
  return () => value;
}

function choice<C>(when: Evaluate<C>, then: Evaluate<C>, otherwise: Evaluate<C>): Evaluate<C> {
  return (context) => {
    const decided = when(context);
    if (decided === true) return then(context);
    return decided === false ? otherwise(context) : undefined;
  };
}

function unary<C>(sign: '!' | '-', of: Evaluate<C>): Evaluate<C> {
  return (context) => {
    const value = of(context);
    if (sign === '!') return typeof value === 'boolean' ? !value : undefined;
    return typeof value === 'number' ? -value : undefined;
  };
}

function binary<C>(sign: BinarySign, left: Evaluate<C>, right: Evaluate<C>): Evaluate<C> {
  if (sign === '&&' || sign === '||') {
    const decides = sign === '||';
    return (context) => {
      const one = left(context);
      if (one === decides) return decides;
      const other = right(context);
      if (other === decides) return decides;
      return typeof one === 'boolean' && typeof other === 'boolean' ? !decides : undefined;
    };
  }
  return (context) => combined(sign, left(context), right(context));
}

function combined(sign: Exclude<BinarySign, '&&' | '||'>, left: Value, right: Value): Value {
  if (left === undefined || right === undefined) return undefined;
  switch (sign) {
    case '==':
      return equal(left, right);
    case '!=':
      return !equal(left, right);
    case 'in':
      return isList(right) ? right.some((item) => equal(item, left)) : undefined;
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compared(sign, left, right);
    case '+':
      if (typeof left === 'string' && typeof right === 'string') return left + right;
      return calculated('+', left, right);
    default:
      return calculated(sign, left, right);
  }
}

function equal(left: Value, right: Value): boolean {
  if (isList(left) && isList(right))
    return left.length === right.length && left.every((item, i) => equal(item, right[i]));
  return left === right;
}

function compared(sign: '<' | '<=' | '>' | '>=', left: Value, right: Value): Value {
  const comparable =
    (typeof left === 'number' && typeof right === 'number') ||
    (typeof left === 'string' && typeof right === 'string');
  if (!comparable) return undefined;
  switch (sign) {
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

function calculated(sign: '+' | '-' | '*' | '/' | '%', left: Value, right: Value): Value {
  if (typeof left !== 'number' || typeof right !== 'number') return undefined;
  const whole = Number.isInteger(left) && Number.isInteger(right);
  switch (sign) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      if (right === 0) return undefined;
      return whole ? Math.trunc(left / right) : left / right;
    case '%':
      return right === 0 ? undefined : left % right;
  }
}

function texts(run: (of: string, part: string) => boolean): (args: Arguments) => Value {
  return ([of, part]) => (typeof of === 'string' && typeof part === 'string' ? run(of, part) : undefined);
}

function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function wholeNumber(value: Value): number | undefined {
  const number = numberOf(value);
  return number === undefined ? undefined : Math.trunc(number);
}

function durationMs(text: string): number | undefined {
  if (!/^-?(\d+(\.\d+)?(h|ms|m|s|us|ns))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)/g))
    total += Number(count) * (UNIT_MS[unit ?? ''] ?? 0);
  return text.startsWith('-') ? -total : total;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
