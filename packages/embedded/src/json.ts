/**
 * JSON values, and the few ways in which this package reads them.
 *
 * Invariant: a value that was stored, or came from the store, is never changed; whoever wants another one clones it
 * first. `null` is JSON's and occurs only inside such values.
 */

export type Json = string | number | boolean | null | Json[] | JsonObject;

export interface JsonObject {
  [key: string]: Json;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at the end of `path`, or `undefined` where a step leads nowhere. */
export function at(value: Json | undefined, ...path: readonly (string | number)[]): Json | undefined {
  let current = value;
  for (const step of path) {
    if (typeof step === 'number') current = Array.isArray(current) ? current[step] : undefined;
    else current = isObject(current) && Object.hasOwn(current, step) ? current[step] : undefined;
  }
  return current;
}

export function textAt(value: Json | undefined, ...path: readonly (string | number)[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

export function numberAt(value: Json | undefined, ...path: readonly (string | number)[]): number | undefined {
  const found = at(value, ...path);
  return typeof found === 'number' ? found : undefined;
}

/** The object there, or an empty one that is nobody's. */
export function objectAt(value: Json | undefined, ...path: readonly (string | number)[]): JsonObject {
  const found = at(value, ...path);
  return isObject(found) ? found : {};
}

/** The list there, or an empty one that is nobody's. */
export function listAt(value: Json | undefined, ...path: readonly (string | number)[]): Json[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** The texts in the list there; what is not text is left out. */
export function textsAt(value: Json | undefined, ...path: readonly (string | number)[]): string[] {
  return listAt(value, ...path).filter((item) => typeof item === 'string');
}

/** The object there, made (and put there) when there is none: for building a value that is one's own. */
export function ensureObject(value: JsonObject, key: string): JsonObject {
  const found = value[key];
  if (isObject(found)) return found;
  const made: JsonObject = {};
  value[key] = made;
  return made;
}

/** Sets `key` only if it has no value yet. */
export function setDefault(value: JsonObject, key: string, fallback: Json): void {
  if (value[key] === undefined || value[key] === null) value[key] = fallback;
}

export function clone<T extends Json>(value: T): T {
  return cloneJson(value) as T;
}

function cloneJson(value: Json): Json {
  if (Array.isArray(value)) return value.map(cloneJson);
  if (!isObject(value)) return value;
  const copy: JsonObject = {};
  for (const key of Object.keys(value)) copy[key] = cloneJson(value[key] as Json);
  return copy;
}

/** Same content; the order of keys does not matter. */
export function equal(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  );
}

/** Why a parsed value may not enter: too deep, or a key that JavaScript would take for a prototype. */
export function refusalOf(value: Json, maxDepth: number): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (maxDepth === 0) return 'nested too deeply';
  if (Object.hasOwn(value, '__proto__')) return 'a field may not be called __proto__';
  for (const child of Array.isArray(value) ? value : Object.values(value)) {
    const refusal = refusalOf(child, maxDepth - 1);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
