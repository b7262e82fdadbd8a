/**
 * Strategic merge patch, as Kubernetes has it for built-in kinds: a merge patch whose lists merge by a key that the
 * schema names, with directives in fields that begin with `$`. Pure.
 */
import { badRequest } from '../errors.ts';
import { clone, equal, isObject, type Json, type JsonObject, textsAt } from '../json.ts';
import { fieldSchema, type Schema } from '../schema/schema.ts';

const DIRECTIVE = '$patch';
const RETAIN = '$retainKeys';
const DELETE_FROM = '$deleteFromPrimitiveList/';
const ORDER = '$setElementOrder/';

/** @throws a 400 for directives that cannot be understood. */
export function strategicMergePatch(schema: Schema, target: JsonObject, patch: JsonObject): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') {
    throw badRequest(`unknown patch directive: ${JSON.stringify(directive)}`);
  }
  const result: JsonObject = { ...target };
  if (patch[RETAIN] !== undefined) {
    const retained = textsAt(patch, RETAIN);
    for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(DELETE_FROM)) deleteFromList(result, key.slice(DELETE_FROM.length), value);
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    if (value === null) delete result[key];
    else result[key] = mergeField(fieldSchema(schema, key), result[key], value);
  }
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(ORDER)) continue;
    const field = key.slice(ORDER.length);
    const list = result[field];
    if (Array.isArray(list) && Array.isArray(order)) {
      result[field] = ordered(list, order, fieldSchema(schema, field)?.mergeKey ?? '');
    }
  }
  return result;
}

function mergeField(schema: Schema | undefined, target: Json | undefined, patch: Json): Json {
  if (isObject(patch)) return strategicMergePatch(schema ?? {}, isObject(target) ? target : {}, patch);
  if (!Array.isArray(patch)) return patch;
  const list = Array.isArray(target) ? target : [];
  if (schema?.mergeKey === undefined) return withoutDirectivesIn(patch);
  return schema.mergeKey === ''
    ? [...list, ...patch.filter((item) => !list.some((own) => equal(own, item)))]
    : mergeByKey(schema, schema.mergeKey, list, patch);
}

function mergeByKey(schema: Schema, key: string, list: readonly Json[], patch: readonly Json[]): Json[] {
  if (patch.some((item) => isObject(item) && item[DIRECTIVE] === 'replace' && item[key] === undefined)) {
    return withoutDirectivesIn(patch.filter((item) => !(isObject(item) && item[DIRECTIVE] === 'replace')));
  }
  const result = [...list];
  for (const item of patch) {
    if (!isObject(item)) throw badRequest(`an item of a list that merges by ${key} must be an object`);
    const id = item[key];
    if (id === undefined)
      throw badRequest(
        `map: ${JSON.stringify(item).slice(0, 200)} does not contain declared merge key: ${key}`,
      );
    const at = result.findIndex((own) => isObject(own) && equal(own[key], id));
    const old = result[at];
    if (item[DIRECTIVE] === 'delete') {
      for (let i = result.length - 1; i >= 0; i--) {
        const own = result[i];
        if (isObject(own) && equal(own[key], id)) result.splice(i, 1);
      }
    } else if (at < 0) result.push(strategicMergePatch(schema.items ?? {}, {}, item));
    else result[at] = strategicMergePatch(schema.items ?? {}, isObject(old) ? old : {}, item);
  }
  return result;
}

function deleteFromList(result: JsonObject, field: string, values: Json): void {
  const list = result[field];
  if (!Array.isArray(values)) throw badRequest(`${DELETE_FROM}${field} must be a list`);
  if (Array.isArray(list)) result[field] = list.filter((item) => !values.some((value) => equal(value, item)));
}

/** Items that `order` names stand as it says; the others keep their place after the one they followed. */
function ordered(list: readonly Json[], order: readonly Json[], key: string): Json[] {
  const idOf = (item: Json): Json | undefined => (key === '' ? item : isObject(item) ? item[key] : undefined);
  const rank = (item: Json) => order.findIndex((wanted) => equal(idOf(wanted), idOf(item)));
  const named = list.filter((item) => rank(item) >= 0).sort((a, b) => rank(a) - rank(b));
  const result: Json[] = [];
  let next = 0;
  for (const item of list) {
    const known = rank(item) >= 0;
    const placed = known ? named[next++] : item;
    if (placed !== undefined) result.push(placed);
  }
  return result;
}

function withoutDirectives(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !key.startsWith('$'))
      .map(([key, child]) => [key, stripped(child)]),
  );
}

const withoutDirectivesIn = (list: readonly Json[]): Json[] => list.map(stripped);

function stripped(value: Json): Json {
  if (Array.isArray(value)) return withoutDirectivesIn(value);
  return isObject(value) ? withoutDirectives(value) : clone(value);
}
