/**
 * The part of OpenAPI that our custom kinds use, to write schemas in and to check values with.
 *
 * A schema here is exactly what stands in the CRD, so what the API server refuses and what we refuse agree. Patterns
 * and rules in CEL are for the API server alone: validate/ says the same in words, and more; testing/policy-cases.ts
 * holds both to it.
 */

import { MAX_PROBLEMS } from '../limits.ts';

export interface StructuralSchema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  /** A regular expression, as Go writes them. */
  readonly pattern?: string;
  readonly 'x-kubernetes-list-type'?: 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
}

/** A rule in CEL, which the API server applies to the value that `self` is. */
export interface ValidationRule {
  /** True of what is right. */
  readonly rule: string;
  /** Names the field and says what must be. */
  readonly message: string;
  /** Where below `self` the problem stands, as `.provider`. */
  readonly fieldPath?: string;
}

interface ObjectOptions {
  readonly description?: string;
  readonly required?: readonly string[];
  readonly minProperties?: number;
  readonly maxProperties?: number;
}

/** `schema` with rules in CEL. */
export function withRules(schema: StructuralSchema, ...rules: readonly ValidationRule[]): StructuralSchema {
  return { ...schema, 'x-kubernetes-validations': rules };
}

export function object(
  properties: Readonly<Record<string, StructuralSchema>>,
  options: ObjectOptions = {},
): StructuralSchema {
  return { type: 'object', ...options, properties };
}

export function map(
  values: StructuralSchema,
  description?: string,
  limits: { maxProperties?: number } = {},
): StructuralSchema {
  return { type: 'object', ...(description && { description }), ...limits, additionalProperties: values };
}

export function list(items: StructuralSchema, description?: string): StructuralSchema {
  return { type: 'array', ...(description && { description }), items };
}

export function text(
  description?: string,
  limits: { minLength?: number; maxLength?: number; pattern?: string } = {},
): StructuralSchema {
  return { type: 'string', ...(description && { description }), ...limits };
}

export function integer(
  description?: string,
  limits: { minimum?: number; maximum?: number } = {},
): StructuralSchema {
  return { type: 'integer', ...(description && { description }), ...limits };
}

export function number(
  description?: string,
  limits: { minimum?: number; maximum?: number } = {},
): StructuralSchema {
  return { type: 'number', format: 'double', ...(description && { description }), ...limits };
}

export function flag(description?: string): StructuralSchema {
  return { type: 'boolean', ...(description && { description }) };
}

export function oneOf(words: readonly string[], description?: string): StructuralSchema {
  return { type: 'string', ...(description && { description }), enum: words };
}

/** The description of a field that is taken, as Istio takes it, and that nobody heeds. */
export const NO_EFFECT = 'Has no effect.';

/** Paths of what `value`, which fits `schema`, says and nobody heeds. */
export function* withoutEffect(schema: StructuralSchema, value: unknown, path: string): Generator<string> {
  if (value === undefined) return;
  if (schema.description === NO_EFFECT) {
    yield path;
    return;
  }
  if (Array.isArray(value)) {
    if (schema.items)
      for (const [i, item] of value.entries()) yield* withoutEffect(schema.items, item, `${path}[${i}]`);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const { properties = {}, additionalProperties } = schema;
  for (const [name, field] of Object.entries(value)) {
    const of = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    if (of) yield* withoutEffect(of, field, `${path}.${name}`);
  }
}

/** What of `value` does not fit `schema`, each as `path: problem`. Unknown fields are problems too. */
export function schemaProblems(schema: StructuralSchema, value: unknown, path: string): readonly string[] {
  return [...problems(schema, value, path)].slice(0, MAX_PROBLEMS);
}

function* problems(schema: StructuralSchema, value: unknown, path: string): Generator<string> {
  switch (schema.type) {
    case 'object':
      yield* objectProblems(schema, value, path);
      return;
    case 'array':
      yield* listProblems(schema, value, path);
      return;
    case 'string':
      yield* textProblems(schema, value, path);
      return;
    case 'integer':
      yield* numberProblems(schema, value, path);
      return;
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) yield `${path}: must be a number`;
      else yield* rangeProblems(schema, value, path);
      return;
    case 'boolean':
      if (typeof value !== 'boolean') yield `${path}: must be true or false`;
      return;
    default:
      schema.type satisfies never;
  }
}

function* listProblems(schema: StructuralSchema, value: unknown, path: string): Generator<string> {
  if (!Array.isArray(value)) yield `${path}: must be a list`;
  else if (schema.minItems !== undefined && value.length < schema.minItems)
    yield `${path}: must have at least ${schema.minItems} items`;
  else if (schema.maxItems !== undefined && value.length > schema.maxItems)
    yield `${path}: must have at most ${schema.maxItems} items`;
  else if (schema.items)
    for (const [i, item] of value.entries()) yield* problems(schema.items, item, `${path}[${i}]`);
}

function* numberProblems(schema: StructuralSchema, value: unknown, path: string): Generator<string> {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) yield `${path}: must be a whole number`;
  else yield* rangeProblems(schema, value, path);
}

function* rangeProblems(schema: StructuralSchema, value: number, path: string): Generator<string> {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  if (value < minimum) yield `${path}: must be at least ${minimum}`;
  else if (value > maximum) yield `${path}: must be at most ${maximum}`;
}

function* objectProblems(schema: StructuralSchema, value: unknown, path: string): Generator<string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    yield `${path}: must be an object`;
    return;
  }
  for (const name of schema.required ?? [])
    if (!Object.hasOwn(value, name)) yield `${path}.${name}: is required`;
  if (Object.keys(value).length < (schema.minProperties ?? 0)) yield `${path}: must have at least one field`;
  if (schema.maxProperties !== undefined && Object.keys(value).length > schema.maxProperties)
    yield `${path}: must have at most ${schema.maxProperties} entries`;
  for (const [name, field] of Object.entries(value) as [string, unknown][]) {
    const known = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    const fieldSchema = known ?? schema.additionalProperties;
    if (fieldSchema) yield* problems(fieldSchema, field, `${path}.${name}`);
    else if (!schema['x-kubernetes-preserve-unknown-fields']) yield `${path}.${name}: is not a known field`;
  }
}

function* textProblems(schema: StructuralSchema, value: unknown, path: string): Generator<string> {
  if (typeof value !== 'string') yield `${path}: must be text`;
  else if (schema.enum && !schema.enum.includes(value))
    yield `${path}: must be one of ${schema.enum.join(', ')}`;
  else if (schema.minLength !== undefined && value.length < schema.minLength)
    yield `${path}: must have at least ${schema.minLength} characters`;
  else if (schema.maxLength !== undefined && value.length > schema.maxLength)
    yield `${path}: must have at most ${schema.maxLength} characters`;
}
