/**
 * The schemas of built-in kinds, read from the generated table.
 *
 * A field's type is a few words: `list [atomic|set|map=keys] [merge=key] T`, `map [atomic] T`, `[retainKeys] [atomic] T`,
 * where T is a scalar or another type's name. Types refer to each other in circles, so a schema's fields are made when
 * they are first asked for.
 */
import { KUBERNETES_TYPES } from '../gen/kubernetes-types.ts';
import { ANYTHING, type Schema } from './schema.ts';

export type TypeTable = Readonly<
  Record<
    string,
    {
      readonly required?: readonly string[];
      readonly atomic?: boolean;
      readonly fields: Readonly<Record<string, string>>;
    }
  >
>;

/** What stands for a scalar in the table. */
export const SCALARS: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  bytes: { type: 'string', format: 'byte' },
  time: { type: 'string', format: 'date-time', nullable: true },
  quantity: { intOrString: true, format: 'quantity' },
  'int-or-string': { intOrString: true, format: 'int-or-string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  number: { type: 'number', format: 'double' },
  boolean: { type: 'boolean' },
  any: ANYTHING,
};

const METADATA = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const known = new Map<string, Schema>();

/** The schema of the type called `name` in the table. */
export function builtinSchema(name: string): Schema {
  const ready = known.get(name);
  if (ready) return ready;
  const row = KUBERNETES_TYPES[name];
  if (!row) throw new RangeError(`no such Kubernetes type: ${name}`);
  let properties: Readonly<Record<string, Schema>> | undefined;
  const schema: Schema = {
    type: 'object',
    ...(row.required && { required: row.required }),
    ...(row.atomic && { atomic: true }),
    get properties() {
      properties ??= Object.fromEntries(
        Object.entries(row.fields).map(([field, words]) => [field, schemaOfWords(words.split(' '))]),
      );
      return properties;
    },
  };
  known.set(name, schema);
  return schema;
}

/** Metadata as every object has it, custom ones too. */
export const objectMetadataSchema = (): Schema => builtinSchema(METADATA);

export function schemaOfWords(words: readonly string[]): Schema {
  const [first = 'any', ...rest] = words;
  if (first === 'list') return listSchema(rest);
  if (first === 'map') {
    const atomic = rest[0] === 'atomic';
    return {
      type: 'object',
      additionalProperties: schemaOfWords(atomic ? rest.slice(1) : rest),
      ...(atomic && { atomic }),
    };
  }
  if (first === 'retainKeys') return withFlags(schemaOfWords(rest), { retainKeys: true });
  if (first === 'atomic') return withFlags(schemaOfWords(rest), { atomic: true });
  return SCALARS[first] ?? builtinSchema(first);
}

/** `schema` with flags of the field that holds it; its fields stay lazy. */
function withFlags(schema: Schema, flags: Partial<Schema>): Schema {
  return Object.create(schema, Object.getOwnPropertyDescriptors(flags)) as Schema;
}

function listSchema(words: readonly string[]): Schema {
  let list: Schema['list'];
  let listKeys: readonly string[] | undefined;
  let mergeKey: string | undefined;
  let retainKeys = false;
  let i = 0;
  for (; i < words.length; i++) {
    const word = words[i] ?? '';
    if (word === 'atomic' || word === 'set') list = word;
    else if (word === 'retainKeys') retainKeys = true;
    else if (word.startsWith('merge=')) mergeKey = word.slice(6);
    else if (word.startsWith('map=')) {
      list = 'map';
      listKeys = word.slice(4).split(',');
    } else break;
  }
  return {
    type: 'array',
    items: schemaOfWords(words.slice(i)),
    ...(list && { list }),
    ...(listKeys && { listKeys }),
    ...(mergeKey !== undefined && { mergeKey }),
    ...(retainKeys && { retainKeys }),
  };
}
