/** Schemas in OpenAPI's own words: from the table of built-in types, and from CRDs. Pure. */
import { KUBERNETES_TYPES } from '../gen/kubernetes-types.ts';
import { isObject, type Json, type JsonObject } from '../json.ts';
import type { Resource } from '../kinds/resource.ts';

/** Where a document keeps its schemas: version 2 and version 3 differ. */
export type ReferencePrefix = '#/definitions/' | '#/components/schemas/';

const SCALARS: Readonly<Record<string, JsonObject>> = {
  string: { type: 'string' },
  bytes: { type: 'string', format: 'byte' },
  time: { type: 'string', format: 'date-time' },
  quantity: { type: 'string' },
  'int-or-string': { type: 'string', format: 'int-or-string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  number: { type: 'number', format: 'double' },
  boolean: { type: 'boolean' },
  any: { type: 'object' },
};

export const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const LIST_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta';

/** All built-in types; those that are kinds say so. */
export function builtinDefinitions(prefix: ReferencePrefix, resources: readonly Resource[]): JsonObject {
  const kinds = new Map(
    resources.filter(({ custom }) => !custom).map((resource) => [resource.schemaName, resource]),
  );
  const definitions: JsonObject = {};
  for (const [name, { required, fields, atomic }] of Object.entries(KUBERNETES_TYPES)) {
    const kind = kinds.get(name);
    definitions[name] = {
      type: 'object',
      description: '',
      ...(required && { required: [...required] }),
      ...(Object.keys(fields).length > 0 && {
        properties: Object.fromEntries(
          Object.entries(fields).map(([field, words]) => [field, schemaOfWords(words.split(' '), prefix)]),
        ),
      }),
      ...(atomic && { 'x-kubernetes-map-type': 'atomic' }),
      ...(kind && kindExtension(kind)),
    };
  }
  return definitions;
}

/** The built-in types that `name` is made of, itself included. */
export function typesWithin(name: string, found = new Set<string>()): ReadonlySet<string> {
  const row = KUBERNETES_TYPES[name];
  if (!row || found.has(name)) return found;
  found.add(name);
  for (const words of Object.values(row.fields)) typesWithin(words.split(' ').at(-1) ?? '', found);
  return found;
}

export const kindExtension = (resource: Resource): JsonObject => ({
  'x-kubernetes-group-version-kind': [gvkOf(resource)],
});

export const gvkOf = ({ group, version, kind }: Resource): JsonObject => ({ group, version, kind });

/** The list kind of a resource. */
export function listDefinition(resource: Resource, prefix: ReferencePrefix): JsonObject {
  return {
    type: 'object',
    description: `${resource.kind}List is a list of ${resource.kind}`,
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { $ref: prefix + LIST_META },
      items: { type: 'array', items: { $ref: prefix + resource.schemaName } },
    },
    'x-kubernetes-group-version-kind': [{ ...gvkOf(resource), kind: `${resource.kind}List` }],
  };
}

function schemaOfWords(words: readonly string[], prefix: ReferencePrefix): JsonObject {
  const [first = 'any', ...rest] = words;
  if (first === 'list') return listSchema(rest, prefix);
  if (first === 'map') {
    const atomic = rest[0] === 'atomic';
    return {
      type: 'object',
      additionalProperties: schemaOfWords(atomic ? rest.slice(1) : rest, prefix),
      ...(atomic && { 'x-kubernetes-map-type': 'atomic' }),
    };
  }
  if (first === 'retainKeys')
    return { ...schemaOfWords(rest, prefix), 'x-kubernetes-patch-strategy': 'retainKeys' };
  if (first === 'atomic') return { ...schemaOfWords(rest, prefix), 'x-kubernetes-map-type': 'atomic' };
  return SCALARS[first] ?? { $ref: prefix + first };
}

function listSchema(words: readonly string[], prefix: ReferencePrefix): JsonObject {
  const schema: JsonObject = { type: 'array' };
  const strategies: string[] = [];
  let i = 0;
  for (; i < words.length; i++) {
    const word = words[i] ?? '';
    if (word === 'atomic' || word === 'set') schema['x-kubernetes-list-type'] = word;
    else if (word.startsWith('map=')) {
      schema['x-kubernetes-list-type'] = 'map';
      schema['x-kubernetes-list-map-keys'] = word.slice(4).split(',');
    } else if (word.startsWith('merge=')) {
      strategies.push('merge');
      if (word.length > 6) schema['x-kubernetes-patch-merge-key'] = word.slice(6);
    } else if (word === 'retainKeys') strategies.push(word);
    else break;
  }
  if (strategies.length > 0) schema['x-kubernetes-patch-strategy'] = strategies.join(',');
  return { ...schema, items: schemaOfWords(words.slice(i), prefix) };
}

/** A custom resource's schema, with the parts that every object has. */
export function customDefinition(resource: Resource, prefix: ReferencePrefix): JsonObject {
  const source = resource.source ?? {};
  const whole = prefix === '#/definitions/' ? withoutVersion3(source) : source;
  const properties = isObject(whole) && isObject(whole['properties']) ? whole['properties'] : {};
  return {
    ...(isObject(whole) ? whole : {}),
    properties: {
      ...properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { $ref: prefix + OBJECT_META },
    },
    ...kindExtension(resource),
  };
}

const VERSION_3_ONLY = ['allOf', 'anyOf', 'oneOf', 'not', 'nullable', 'x-kubernetes-validations'];

/** Version 2 cannot say some things; what it cannot say it leaves open. */
function withoutVersion3(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutVersion3);
  if (!isObject(value)) return value;
  const kept: JsonObject = {};
  for (const [key, child] of Object.entries(value)) {
    if (VERSION_3_ONLY.includes(key)) continue;
    if (key === 'properties' && isObject(child)) {
      kept[key] = Object.fromEntries(
        Object.entries(child).map(([name, field]) => [name, withoutVersion3(field)]),
      );
    } else kept[key] = key === 'default' || key === 'enum' ? child : withoutVersion3(child);
  }
  if (value['x-kubernetes-int-or-string'] === true || value['nullable'] === true) delete kept['type'];
  return kept;
}
