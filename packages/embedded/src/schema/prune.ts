/**
 * Makes a value fit its schema's fields: what the schema does not know is dropped and named, so that a caller can warn
 * or refuse. Pure; the result is the caller's own copy.
 */
import { isObject, type Json, type JsonObject } from '../json.ts';
import { objectMetadataSchema } from './builtin-schema.ts';
import { ANYTHING, type Schema } from './schema.ts';

export interface Pruned {
  readonly object: JsonObject;
  /** Paths of dropped fields, as `spec.containers[0].colour`. */
  readonly unknown: readonly string[];
}

export interface PruneOptions {
  /** Built-in kinds have no null: a field that is null is a field that is absent. */
  readonly dropNulls: boolean;
}

/** A whole object: apiVersion, kind and metadata are known whatever its schema says. */
export function pruneObject(schema: Schema, object: JsonObject, options: PruneOptions): Pruned {
  const pruner = new Pruner(options);
  return { object: pruner.whole(schema, object, ''), unknown: pruner.unknown };
}

class Pruner {
  readonly unknown: string[] = [];
  readonly #dropNulls: boolean;

  constructor(options: PruneOptions) {
    this.#dropNulls = options.dropNulls;
  }

  whole(schema: Schema, object: JsonObject, path: string): JsonObject {
    const { apiVersion, kind, metadata, ...rest } = object;
    const dot = path === '' ? '' : `${path}.`;
    return {
      ...(apiVersion !== undefined && { apiVersion }),
      ...(kind !== undefined && { kind }),
      ...(metadata !== undefined && {
        metadata: new Pruner({ dropNulls: true }).#shared(
          this,
          objectMetadataSchema(),
          metadata,
          `${dot}metadata`,
        ),
      }),
      ...(this.#fields(schema, rest, path) as JsonObject),
    };
  }

  /** Prunes for `other`, which gets the unknown fields. */
  #shared(other: Pruner, schema: Schema, value: Json, path: string): Json {
    const pruned = this.#value(schema, value, path);
    other.unknown.push(...this.unknown);
    return pruned;
  }

  #value(schema: Schema, value: Json, path: string): Json {
    if (Array.isArray(value)) {
      return value.map((item, i) => this.#value(schema.items ?? ANYTHING, item, `${path}[${i}]`));
    }
    if (!isObject(value) || !isForObjects(schema)) return value;
    return schema.embedded ? this.whole(schema, value, path) : this.#fields(schema, value, path);
  }

  #fields(schema: Schema, value: JsonObject, path: string): JsonObject {
    const kept: JsonObject = {};
    for (const [key, child] of Object.entries(value)) {
      const where = path === '' ? key : `${path}.${key}`;
      const known = this.#fieldSchema(schema, key);
      if (!known) this.unknown.push(where);
      else if (child !== null || !this.#dropNulls || known === ANYTHING) {
        kept[key] = this.#value(known, child, where);
      }
    }
    return kept;
  }

  #fieldSchema(schema: Schema, key: string): Schema | undefined {
    if (schema.properties && Object.hasOwn(schema.properties, key)) return schema.properties[key];
    if (schema.additionalProperties === true || schema.preserveUnknown) return ANYTHING;
    if (schema.additionalProperties) return schema.additionalProperties;
    return schema.type === undefined && !schema.properties ? ANYTHING : undefined;
  }
}

/** An object where a list or a scalar belongs is of the wrong type, which validation says; its fields are not "unknown". */
function isForObjects({ type, intOrString }: Schema): boolean {
  return !intOrString && (type === undefined || type === 'object');
}
