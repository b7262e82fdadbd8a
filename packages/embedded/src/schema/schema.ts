/**
 * What a value must look like: the part of OpenAPI that Kubernetes' structural schemas use, for built-in kinds and
 * custom ones alike. Schemas may refer to themselves, so nothing walks one without a value to lead it.
 */
import type { Json } from '../json.ts';

export type SchemaType = 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';

export interface Schema {
  /** Absent: anything. */
  readonly type?: SchemaType;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  /** What every key beyond `properties` must hold; `true`: anything. */
  readonly additionalProperties?: Schema | true;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly nullable?: boolean;
  readonly default?: Json;
  readonly enum?: readonly Json[];
  readonly pattern?: RegExp;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  /** A whole number or text. */
  readonly intOrString?: boolean;
  /** Keep fields that `properties` does not name. */
  readonly preserveUnknown?: boolean;
  /** A whole object of its own, with apiVersion, kind and metadata. */
  readonly embedded?: boolean;
  readonly list?: 'atomic' | 'set' | 'map';
  /** For `list: 'map'`: what tells its items apart. */
  readonly listKeys?: readonly string[];
  /** A map or struct that is owned and replaced as one. */
  readonly atomic?: boolean;
  /** How a strategic merge patch treats this list or struct. `mergeKey` is empty for lists of scalars. */
  readonly mergeKey?: string;
  readonly retainKeys?: boolean;
}

/** Fits every value and knows nothing of it. */
export const ANYTHING: Schema = { preserveUnknown: true };

/** The schema of a field, or of an item, as far as `schema` says; unknown fields of a free-form object are anything. */
export function fieldSchema(schema: Schema | undefined, field: string): Schema | undefined {
  if (schema === undefined) return undefined;
  if (schema.properties && Object.hasOwn(schema.properties, field)) return schema.properties[field];
  if (schema.additionalProperties === true) return ANYTHING;
  return schema.additionalProperties;
}
