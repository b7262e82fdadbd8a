/** The tree of an expression in CEL's notation. Pure; bounded in size and depth. */
import { MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_NODES } from './limits.ts';
import { ExpressionProblem, type Token, tokensOf } from './lexer.ts';

export type Literal = string | number | boolean | null;

export type Node =
  | { readonly kind: 'literal'; readonly value: Literal }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'field'; readonly of: Node; readonly name: string }
  | { readonly kind: 'index'; readonly of: Node; readonly index: Node }
  | {
      readonly kind: 'call';
      readonly of: Node | undefined;
      readonly name: string;
      readonly args: readonly Node[];
    }
  | { readonly kind: 'unary'; readonly sign: '!' | '-'; readonly of: Node }
  | { readonly kind: 'binary'; readonly sign: BinarySign; readonly left: Node; readonly right: Node }
  | { readonly kind: 'choice'; readonly when: Node; readonly then: Node; readonly otherwise: Node }
  | { readonly kind: 'list'; readonly items: readonly Node[] };

export type BinarySign =
  | '&&'
  | '||'
  | '=='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'in'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%';

/** From what binds loosest. */
const LEVELS: readonly (readonly BinarySign[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '<', '<=', '>', '>=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
];
const CONSTANTS: Readonly<Record<string, Literal>> = { true: true, false: false, null: null };

/** @throws {@link ExpressionProblem} */
export function parseExpression(source: string): Node {
  return new Parser(tokensOf(source)).whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #nodes = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Node {
    const node = this.#choice();
    if (this.#peek().kind !== 'end') throw new ExpressionProblem(`${wordOf(this.#peek())} is not expected`);
    return node;
  }

  #choice(): Node {
    return this.#within(() => {
      const when = this.#binary(0);
      if (!this.#takes('?')) return when;
      const then = this.#choice();
      this.#expect(':');
      return this.#made({ kind: 'choice', when, then, otherwise: this.#choice() });
    });
  }

  #binary(level: number): Node {
    const signs = LEVELS[level];
    if (!signs) return this.#unary();
    let left = this.#binary(level + 1);
    for (let sign = this.#signOf(signs); sign !== undefined; sign = this.#signOf(signs))
      left = this.#made({ kind: 'binary', sign, left, right: this.#binary(level + 1) });
    return left;
  }

  #signOf(signs: readonly BinarySign[]): BinarySign | undefined {
    const token = this.#peek();
    const text = token.kind === 'sign' || token.kind === 'name' ? token.text : undefined;
    const sign = signs.find((one) => one === text);
    if (sign !== undefined) this.#at += 1;
    return sign;
  }

  #unary(): Node {
    const sign = this.#takes('!') ? '!' : this.#takes('-') ? '-' : undefined;
    if (sign === undefined) return this.#member();
    return this.#within(() => this.#made({ kind: 'unary', sign, of: this.#unary() }));
  }

  #member(): Node {
    let node = this.#primary();
    for (;;) {
      if (this.#takes('.')) {
        const name = this.#name();
        node = this.#made(
          this.#takes('(')
            ? { kind: 'call', of: node, name, args: this.#list(')') }
            : { kind: 'field', of: node, name },
        );
      } else if (this.#takes('[')) {
        const index = this.#choice();
        this.#expect(']');
        node = this.#made({ kind: 'index', of: node, index });
      } else return node;
    }
  }

  #primary(): Node {
    const token = this.#peek();
    this.#at += 1;
    if (token.kind === 'text' || token.kind === 'number')
      return this.#made({ kind: 'literal', value: token.value });
    if (token.kind === 'name') return this.#named(token.text);
    if (token.kind === 'sign' && token.text === '(') {
      const node = this.#choice();
      this.#expect(')');
      return node;
    }
    if (token.kind === 'sign' && token.text === '[')
      return this.#made({ kind: 'list', items: this.#list(']') });
    throw new ExpressionProblem(`${wordOf(token)} is not expected`);
  }

  #named(name: string): Node {
    const constant = Object.hasOwn(CONSTANTS, name) ? CONSTANTS[name] : undefined;
    if (constant !== undefined) return this.#made({ kind: 'literal', value: constant });
    if (this.#takes('(')) return this.#made({ kind: 'call', of: undefined, name, args: this.#list(')') });
    return this.#made({ kind: 'name', name });
  }

  #list(end: string): readonly Node[] {
    const items: Node[] = [];
    while (!this.#takes(end)) {
      if (items.length > 0) this.#expect(',');
      if (items.length > 0 && this.#takes(end)) break;
      items.push(this.#choice());
    }
    return items;
  }

  #name(): string {
    const token = this.#peek();
    if (token.kind !== 'name') throw new ExpressionProblem(`a name is expected before ${wordOf(token)}`);
    this.#at += 1;
    return token.text;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end' };
  }

  #takes(sign: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'sign' || token.text !== sign) return false;
    this.#at += 1;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#takes(sign)) throw new ExpressionProblem(`${sign} is expected before ${wordOf(this.#peek())}`);
  }

  #made(node: Node): Node {
    this.#nodes += 1;
    if (this.#nodes > MAX_EXPRESSION_NODES)
      throw new ExpressionProblem(`more than ${MAX_EXPRESSION_NODES} parts`);
    return node;
  }

  #within(parse: () => Node): Node {
    this.#depth += 1;
    if (this.#depth > MAX_EXPRESSION_DEPTH)
      throw new ExpressionProblem(`nested deeper than ${MAX_EXPRESSION_DEPTH}`);
    const node = parse();
    this.#depth -= 1;
    return node;
  }
}

function wordOf(token: Token): string {
  switch (token.kind) {
    case 'name':
    case 'sign':
      return token.text;
    case 'text':
      return JSON.stringify(token.value);
    case 'number':
      return String(token.value);
    case 'end':
      return 'the end';
  }
}
