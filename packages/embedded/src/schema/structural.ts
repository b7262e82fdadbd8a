/** A CRD's `openAPIV3Schema` as a {@link Schema}. Pure; what cannot be understood is named, with where it stands. */
import { isObject, type Json, type JsonObject, numberAt, textAt, textsAt } from '../json.ts';
import { ANYTHING, type Schema, type SchemaType } from './schema.ts';

const TYPES: readonly SchemaType[] = ['object', 'array', 'string', 'integer', 'number', 'boolean'];

/** How deep a schema may nest. */
const DEPTH = 60;

export interface StructuralSchema {
  readonly schema: Schema;
  readonly problems: readonly { readonly path: string; readonly what: string }[];
}

export function structuralSchema(source: JsonObject, path: string): StructuralSchema {
  const reader = new Reader();
  return { schema: reader.read(source, path, 0), problems: reader.problems };
}

class Reader {
  readonly problems: { path: string; what: string }[] = [];

  read(source: Json | undefined, path: string, depth: number): Schema {
    if (source === true) return ANYTHING;
    if (!isObject(source)) return this.#problem(path, 'must be an object');
    if (depth > DEPTH) return this.#problem(path, `nested more than ${DEPTH} deep`);
    const type = TYPES.find((known) => known === source['type']);
    if (source['type'] !== undefined && source['type'] !== '' && !type) {
      this.#problem(`${path}.type`, `Unsupported value: ${JSON.stringify(source['type'])}`);
    }
    const pattern = this.#pattern(textAt(source, 'pattern'), `${path}.pattern`);
    const list = (['atomic', 'set', 'map'] as const).find(
      (kind) => kind === source['x-kubernetes-list-type'],
    );
    const many = (key: string): readonly Schema[] | undefined => {
      const parts = source[key];
      return Array.isArray(parts)
        ? parts.map((part, i) => this.read(part, `${path}.${key}[${i}]`, depth + 1))
        : undefined;
    };
    const properties = this.#properties(source['properties'], `${path}.properties`, depth);
    const schema: { -readonly [K in keyof Schema]: Schema[K] } = {};
    if (type) schema.type = type;
    if (properties) schema.properties = properties;
    if (pattern) schema.pattern = pattern;
    if (list) schema.list = list;
    if (source['items'] !== undefined) schema.items = this.read(source['items'], `${path}.items`, depth + 1);
    const additional = source['additionalProperties'];
    if (additional === true) schema.additionalProperties = true;
    else if (isObject(additional)) {
      schema.additionalProperties = this.read(additional, `${path}.additionalProperties`, depth + 1);
    }
    if (Array.isArray(source['enum'])) schema.enum = source['enum'];
    if (source['default'] !== undefined) schema.default = source['default'];
    if (Array.isArray(source['required'])) schema.required = textsAt(source, 'required');
    const listKeys = textsAt(source, 'x-kubernetes-list-map-keys');
    if (list === 'map') {
      if (listKeys.length === 0)
        this.#problem(`${path}.x-kubernetes-list-map-keys`, 'Required value: for a list of type map');
      schema.listKeys = listKeys;
    }
    copyNumbers(source, schema);
    copyFlags(source, schema);
    const format = textAt(source, 'format');
    if (format) schema.format = format;
    const description = textAt(source, 'description');
    if (description) schema.description = description;
    const [allOf, anyOf, oneOf] = [many('allOf'), many('anyOf'), many('oneOf')];
    if (allOf) schema.allOf = allOf;
    // With int-or-string, the anyOf of the two types says the same again.
    if (anyOf && !schema.intOrString) schema.anyOf = anyOf;
    if (oneOf) schema.oneOf = oneOf;
    if (isObject(source['not'])) schema.not = this.read(source['not'], `${path}.not`, depth + 1);
    return schema;
  }

  #properties(source: Json | undefined, path: string, depth: number): Record<string, Schema> | undefined {
    if (!isObject(source)) return undefined;
    return Object.fromEntries(
      Object.entries(source).map(([key, child]) => [key, this.read(child, `${path}[${key}]`, depth + 1)]),
    );
  }

  #pattern(source: string | undefined, path: string): RegExp | undefined {
    if (source === undefined || source === '') return undefined;
    for (const flags of ['u', '']) {
      try {
        return new RegExp(source, flags);
      } catch {
        // Go's syntax allows escapes that the strict mode of JavaScript does not; the second try allows them too.
      }
    }
    this.#problem(path, `Invalid value: ${JSON.stringify(source)}: not a regular expression`);
    return undefined;
  }

  #problem(path: string, what: string): Schema {
    this.problems.push({ path, what });
    return ANYTHING;
  }
}

type Writable = { -readonly [K in keyof Schema]: Schema[K] };

const NUMBERS = [
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'multipleOf',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
] as const;

function copyNumbers(source: JsonObject, schema: Writable): void {
  for (const name of NUMBERS) {
    const value = numberAt(source, name);
    if (value !== undefined) schema[name] = value;
  }
}

function copyFlags(source: JsonObject, schema: Writable): void {
  if (source['nullable'] === true) schema.nullable = true;
  if (source['uniqueItems'] === true) schema.uniqueItems = true;
  if (source['exclusiveMinimum'] === true) schema.exclusiveMinimum = true;
  if (source['exclusiveMaximum'] === true) schema.exclusiveMaximum = true;
  if (source['x-kubernetes-int-or-string'] === true) schema.intOrString = true;
  if (source['x-kubernetes-preserve-unknown-fields'] === true) schema.preserveUnknown = true;
  if (source['x-kubernetes-embedded-resource'] === true) schema.embedded = true;
  if (source['x-kubernetes-map-type'] === 'atomic') schema.atomic = true;
}
