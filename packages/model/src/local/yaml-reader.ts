/**
 * Reads a YAML document by its nodes, so that every complaint names the place: file, line, column and path.
 *
 * A reader looks at one node; `at` is its path as a person would write it, `workloads[3].protocol`.
 */
import { MeshError } from '@ambit/core/errors';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import { MAX_LOCAL_FILE_NODES } from '../limits.ts';

/** A local mesh file does not say what it should; the message names file, line and column. */
export class LocalFileError extends MeshError {
  readonly code = 'LOCAL_FILE';
  readonly side = 'internal';
}

interface Source {
  readonly file: string;
  readonly lines: LineCounter;
  readonly anchors: ReadonlyMap<string, Node>;
  nodesLeft: number;
}

/** The top of a document; `undefined` for an empty one. */
export function readYaml(text: string, file: string): YamlReader | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, version: '1.2', merge: false });
  const [error] = document.errors;
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new LocalFileError(`${file}: line ${line} column ${col}: ${error.message.split('\n')[0] ?? ''}`);
  }
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return undefined;
  const anchors = anchorsOf(document, file);
  return new YamlReader(contents, '', { file, lines, anchors, nodesLeft: MAX_LOCAL_FILE_NODES });
}

/** Collected once, since the library looks for an alias's anchor through the whole document each time. */
function anchorsOf(document: Document, file: string): ReadonlyMap<string, Node> {
  const anchors = new Map<string, Node>();
  visit(document, {
    Value: (_, node) => {
      if (node.anchor === undefined) return;
      if (anchors.has(node.anchor)) throw new LocalFileError(`${file}: two anchors are named ${node.anchor}`);
      anchors.set(node.anchor, node);
    },
  });
  return anchors;
}

export class YamlReader {
  readonly #node: Node;
  readonly #source: Source;
  readonly at: string;

  constructor(node: Node, at: string, source: Source) {
    if (source.nodesLeft === 0)
      throw new LocalFileError(`${source.file}: more than ${MAX_LOCAL_FILE_NODES} values`);
    source.nodesLeft -= 1;
    this.#node = isAlias(node) ? (source.anchors.get(node.source) ?? node) : node;
    this.#source = source;
    this.at = at;
  }

  fail(problem: string): never {
    const { line, col } = this.#source.lines.linePos(this.#node.range?.[0] ?? 0);
    const where = this.at === '' ? '' : `${this.at}: `;
    throw new LocalFileError(`${this.#source.file}: line ${line} column ${col}: ${where}${problem}`);
  }

  /** `!Exact` of `!Exact foo`, without the exclamation mark. */
  get tag(): string | undefined {
    const { tag } = this.#node;
    return tag?.startsWith('!') ? tag.slice(1) : undefined;
  }

  get isMap(): boolean {
    return isMap(this.#node);
  }

  /** @param known - The keys that there may be; without it, any. */
  fields(known?: readonly string[]): ReadonlyMap<string, YamlReader> {
    const fields = new Map(this.entries());
    for (const [key, field] of fields) {
      if (known?.includes(key) === false)
        field.fail(`unknown field \`${key}\`, expected one of ${known.join(', ')}`);
    }
    return fields;
  }

  entries(): readonly (readonly [string, YamlReader])[] {
    if (!isMap(this.#node)) return this.fail('expected a map');
    return this.#node.items.map(({ key, value }) => {
      const name = isScalar(key) ? (key.source ?? String(key.value)) : this.fail('a key is not plain text');
      return [name, this.#child(value as Node | null, this.at === '' ? name : `${this.at}.${name}`)] as const;
    });
  }

  list(): readonly YamlReader[] {
    if (!isSeq(this.#node)) return this.fail('expected a list');
    return this.#node.items.map((item, index) => this.#child(item as Node | null, `${this.at}[${index}]`));
  }

  /** Text, also where YAML sees a number. */
  text(): string {
    if (!isScalar(this.#node) || this.#node.value === null) return this.fail('expected text');
    return typeof this.#node.value === 'string'
      ? this.#node.value
      : (this.#node.source ?? String(this.#node.value));
  }

  integer(max: number): number {
    const text = this.text();
    const number = Number(text);
    if (!/^[0-9]+$/.test(text) || number > max)
      return this.fail(`${text} is not a whole number up to ${max}`);
    return number;
  }

  flag(): boolean {
    const value = isScalar(this.#node) ? this.#node.value : undefined;
    return typeof value === 'boolean' ? value : this.fail('expected true or false');
  }

  oneOf<T extends string>(words: readonly T[]): T {
    const text = this.text();
    return words.find((word) => word === text) ?? this.fail(`\`${text}\` is none of ${words.join(', ')}`);
  }

  #child(node: Node | null, at: string): YamlReader {
    return node === null ? this.fail(`${at} has no value`) : new YamlReader(node, at, this.#source);
  }
}
