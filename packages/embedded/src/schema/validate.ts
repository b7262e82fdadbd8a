/** Whether a value is what its schema wants, in the words that Kubernetes uses. Pure. */
import type { FieldProblem } from '../errors.ts';
import { equal, isObject, type Json, type JsonObject } from '../json.ts';
import type { Schema, SchemaType } from './schema.ts';

/** Problems beyond this many are not looked for: one broken list could have thousands. */
const PROBLEMS = 100;

const QUANTITY = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function validate(schema: Schema, value: Json, path = ''): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  check(schema, value, path, problems);
  return problems;
}

function check(schema: Schema, value: Json, path: string, problems: FieldProblem[]): void {
  if (problems.length >= PROBLEMS) return;
  const add = (reason: FieldProblem['reason'], message: string) =>
    void problems.push({ reason, field: path === '' ? '<nil>' : path, message });
  const bad = (what: string) =>
    add('FieldValueInvalid', `Invalid value: ${shown(value)}: ${path} in body ${what}`);

  if (value === null) {
    if (!schema.nullable && (schema.type || schema.intOrString)) {
      add(
        'FieldValueTypeInvalid',
        `Invalid value: "null": ${path} in body must be of type ${schema.type ?? 'integer'}: "null"`,
      );
    }
    return;
  }
  const wrong = typeProblem(schema, value, path);
  if (wrong !== undefined) {
    add('FieldValueTypeInvalid', wrong);
    return;
  }
  if (schema.enum && !schema.enum.some((allowed) => equal(allowed, value))) {
    add(
      'FieldValueNotSupported',
      `Unsupported value: ${shown(value)}: supported values: ${schema.enum.map(shown).join(', ')}`,
    );
  }
  if (typeof value === 'string') checkText(schema, value, add, bad);
  else if (typeof value === 'number') checkNumber(schema, value, bad);
  else if (Array.isArray(value)) checkList(schema, value, path, problems, add, bad);
  else if (isObject(value)) checkObject(schema, value, path, problems, add, bad);
  checkJunctors(schema, value, path, problems, bad);
}

type Add = (reason: FieldProblem['reason'], message: string) => void;
type Bad = (what: string) => void;

/** The type of `value` where it is not what the schema asks for, as a sentence. */
function typeProblem(schema: Schema, value: Json, path: string): string | undefined {
  const got = typeName(value);
  if (schema.intOrString) {
    if (schema.format === 'quantity') {
      return QUANTITY.test(String(value))
        ? undefined
        : `Invalid value: ${shown(value)}: ${path} in body must be a quantity such as 100m, 1.5 or 2Gi`;
    }
    return got === 'string' || got === 'integer'
      ? undefined
      : `Invalid value: "${got}": ${path} in body must be of type integer or string: "${got}"`;
  }
  const fits =
    schema.type === undefined || schema.type === got || (schema.type === 'number' && got === 'integer');
  return fits
    ? undefined
    : `Invalid value: "${got}": ${path} in body must be of type ${schema.type}: "${got}"`;
}

function typeName(value: Json): SchemaType | 'null' {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value === 'object' ? 'object' : (typeof value as 'string' | 'boolean');
}

function checkText(schema: Schema, value: string, add: Add, bad: Bad): void {
  const length = Array.from(value).length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    add('FieldValueTooLong', `Too long: may not be more than ${schema.maxLength} bytes`);
  } else if (schema.pattern && !schema.pattern.test(value)) bad(`should match '${schema.pattern.source}'`);
  if (schema.minLength !== undefined && length < schema.minLength) {
    bad(`should be at least ${schema.minLength} chars long`);
  }
  if (schema.format === 'date-time' && !TIME.test(value)) bad(`must be of type date-time: ${shown(value)}`);
  if (schema.format === 'byte' && !BASE64.test(value)) bad(`must be of type byte: ${shown(value)}`);
}

function checkNumber(schema: Schema, value: number, bad: Bad): void {
  const { minimum, maximum, multipleOf, format } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    bad(`should be greater than ${schema.exclusiveMinimum ? '' : 'or equal to '}${minimum}`);
  }
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    bad(`should be less than ${schema.exclusiveMaximum ? '' : 'or equal to '}${maximum}`);
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf))
    bad(`should be a multiple of ${multipleOf}`);
  if (format === 'int32' && (value < -2_147_483_648 || value > 2_147_483_647))
    bad('should be a 32-bit whole number');
}

function checkList(
  schema: Schema,
  value: Json[],
  path: string,
  problems: FieldProblem[],
  add: Add,
  bad: Bad,
): void {
  const { minItems, maxItems, items, listKeys } = schema;
  if (maxItems !== undefined && value.length > maxItems) {
    add('FieldValueInvalid', `Too many: ${value.length}: must have at most ${maxItems} items`);
    return;
  }
  if (minItems !== undefined && value.length < minItems) bad(`should have at least ${minItems} items`);
  if (items) for (const [i, item] of value.entries()) check(items, item, `${path}[${i}]`, problems);
  if (schema.list !== 'set' && !schema.uniqueItems && !(schema.list === 'map' && listKeys)) return;
  const seen = new Set<string>();
  value.forEach((item, i) => {
    const key =
      schema.list === 'map' && listKeys && isObject(item)
        ? JSON.stringify(
            listKeys.map((name) => [name, item[name] ?? items?.properties?.[name]?.default ?? '']),
          )
        : JSON.stringify(item);
    if (seen.has(key) && problems.length < PROBLEMS) {
      problems.push({
        reason: 'FieldValueDuplicate',
        field: `${path}[${i}]`,
        message: `Duplicate value: ${shown(listKeys && isObject(item) ? pick(item, listKeys) : item)}`,
      });
    }
    seen.add(key);
  });
}

function checkObject(
  schema: Schema,
  value: JsonObject,
  path: string,
  problems: FieldProblem[],
  add: Add,
  bad: Bad,
): void {
  const dot = path === '' ? '' : `${path}.`;
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    add('FieldValueInvalid', `Too many: ${count}: must have at most ${schema.maxProperties} items`);
  }
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    bad(`should have at least ${schema.minProperties} properties`);
  }
  for (const name of schema.required ?? []) {
    if (value[name] !== undefined) continue;
    problems.push({ reason: 'FieldValueRequired', field: dot + name, message: 'Required value' });
  }
  for (const [key, child] of Object.entries(value)) {
    const field =
      schema.properties && Object.hasOwn(schema.properties, key)
        ? schema.properties[key]
        : typeof schema.additionalProperties === 'object'
          ? schema.additionalProperties
          : undefined;
    if (field) check(field, child, dot + key, problems);
  }
}

function checkJunctors(schema: Schema, value: Json, path: string, problems: FieldProblem[], bad: Bad): void {
  const holds = (other: Schema) => validate(other, value, path).length === 0;
  for (const part of schema.allOf ?? []) check(part, value, path, problems);
  if (schema.anyOf && !schema.anyOf.some(holds)) bad('must validate at least one schema (anyOf)');
  if (schema.oneOf) {
    const valid = schema.oneOf.filter(holds).length;
    if (valid !== 1) {
      bad(`must validate one and only one schema (oneOf). Found ${valid === 0 ? 'none' : valid} valid`);
    }
  }
  if (schema.not && holds(schema.not)) bad('must not validate the schema (not)');
}

function pick(item: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(keys.flatMap((key) => (item[key] === undefined ? [] : [[key, item[key]]])));
}

/** A value in a message: short, whatever it is. */
function shown(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
