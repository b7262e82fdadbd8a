/** Fills in a structural schema's defaults, in place, as the API server does before it validates. Pure otherwise. */
import { clone, isObject, type Json, type JsonObject } from '../json.ts';
import type { Schema } from './schema.ts';

/** @param value - The caller's own; its missing fields, and nulls that may not be null, get their defaults. */
export function applyDefaults(schema: Schema, value: Json | undefined): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applyDefaults(schema.items, item);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, field] of Object.entries(schema.properties ?? {})) applyFieldDefault(value, key, field);
  if (typeof schema.additionalProperties !== 'object') return;
  for (const [key, child] of Object.entries(value)) {
    if (!schema.properties || !Object.hasOwn(schema.properties, key)) {
      applyDefaults(schema.additionalProperties, child);
    }
  }
}

function applyFieldDefault(value: JsonObject, key: string, field: Schema): void {
  const current = value[key];
  if (current === null && !field.nullable) delete value[key];
  if (value[key] === undefined && field.default !== undefined) value[key] = clone(field.default);
  if (value[key] !== undefined) applyDefaults(field, value[key]);
}
