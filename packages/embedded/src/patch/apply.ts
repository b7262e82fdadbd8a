/**
 * Server-side apply: an object as its manager wants it, merged into the one there is. Pure.
 *
 * What the manager names, it gets, unless another manager set it to something else (a conflict, unless forced). What
 * it named before and names no longer goes, unless somebody else has it too.
 */
import { clone, equal, isObject, type Json, type JsonObject, objectAt } from '../json.ts';
import { groupVersionOf, type Resource } from '../kinds/resource.ts';
import { timestamp } from '../object.ts';
import type { Schema } from '../schema/schema.ts';
import { fieldSchema } from '../schema/schema.ts';
import { FieldSet, itemElement, membersOf, schemaWithMetadata } from './field-set.ts';
import { type Managed, manageable, ownedFields, readManaged, writeManaged } from './managed-fields.ts';

export interface ApplyOptions {
  readonly manager: string;
  readonly subresource: string;
  readonly force: boolean;
  readonly nowMs: number;
}

export interface Applied {
  /** The caller's own. */
  readonly object: JsonObject;
  readonly conflicts: readonly { readonly manager: string; readonly field: string }[];
}

export function applyPatch(
  resource: Resource,
  live: JsonObject | undefined,
  patch: JsonObject,
  options: ApplyOptions,
): Applied {
  const schema = schemaWithMetadata(resource.schema);
  const wanted = withoutManagedFields(clone(patch));
  const wantedFields = within(ownedFields(resource, wanted), resource, options.subresource);
  const managed = live ? readManaged(live) : [];
  const isOwn = (entry: Managed) =>
    entry.manager === options.manager &&
    entry.operation === 'Apply' &&
    entry.subresource === options.subresource;
  const own = managed.find(isOwn);
  const others = managed.filter((entry) => !isOwn(entry));

  const merged = live ? mergeValues(schema, clone(live), wanted) : wanted;
  const object = isObject(merged) ? merged : {};
  const differing = differences(schema, manageable(live ?? {}), manageable(object));
  const contested = others
    .map((entry) => ({ entry, fields: entry.fields.intersection(wantedFields).intersection(differing) }))
    .filter(({ fields }) => !fields.isEmpty());
  if (contested.length > 0 && !options.force) {
    const conflicts = contested.flatMap(({ entry, fields }) =>
      [...fields.paths()].map((path) => ({ manager: managerText(entry), field: pathText(path) })),
    );
    return { object: clone(live ?? {}), conflicts };
  }

  const kept = others.map((entry) => {
    const lost = contested.find((each) => each.entry === entry)?.fields;
    return lost ? { ...entry, fields: entry.fields.without(lost) } : entry;
  });
  const claimed = kept.reduce((all, entry) => all.union(entry.fields), wantedFields);
  const abandoned = (own?.fields ?? FieldSet.EMPTY).without(claimed);
  removeFields(schema, object, abandoned);
  const unchanged =
    own !== undefined && equal(own.fields.toJson(), wantedFields.toJson()) && sameContent(live, object);
  writeManaged(object, [
    ...kept,
    {
      manager: options.manager,
      operation: 'Apply',
      apiVersion: groupVersionOf(resource),
      subresource: options.subresource,
      time: unchanged ? own.time : timestamp(options.nowMs),
      fields: wantedFields,
    },
  ]);
  return { object, conflicts: [] };
}

const sameContent = (live: JsonObject | undefined, object: JsonObject): boolean =>
  equal(manageable(live ?? {}), manageable(object));

/** A manager owns status by applying to the status, and the rest by applying to the object. */
function within(fields: FieldSet, resource: Resource, subresource: string): FieldSet {
  if (!resource.hasStatus) return fields;
  const status = new Map(
    [...fields.children].filter(([key]) => (key === 'f:status') === (subresource === 'status')),
  );
  return new FieldSet(fields.self, status);
}

function withoutManagedFields(object: JsonObject): JsonObject {
  delete objectAt(object, 'metadata')['managedFields'];
  return object;
}

/** `wanted` laid over `live`: maps and keyed lists merge, everything else is replaced. */
function mergeValues(schema: Schema | undefined, live: Json, wanted: Json): Json {
  if (schema?.atomic || wanted === null) return wanted;
  if (isObject(wanted)) {
    if (!isObject(live)) return wanted;
    for (const [key, value] of Object.entries(wanted)) {
      const old = live[key];
      live[key] = old === undefined ? value : mergeValues(fieldSchema(schema, key), old, value);
    }
    return live;
  }
  if (!Array.isArray(wanted) || !Array.isArray(live) || !schema) return wanted;
  return schema.list === 'set' || schema.list === 'map' ? mergeLists(schema, live, wanted) : wanted;
}

function mergeLists(schema: Schema, live: Json[], wanted: readonly Json[]): Json[] {
  const result = [...live];
  for (const item of wanted) {
    const element = itemElement(schema, item);
    const at = result.findIndex((own) => element !== undefined && itemElement(schema, own) === element);
    const old = result[at];
    if (at < 0 || old === undefined) result.push(item);
    else result[at] = mergeValues(schema.items, old, item);
  }
  return result;
}

/** Every place where the two differ, and every place above such a one. */
function differences(schema: Schema | undefined, before: Json | undefined, after: Json): FieldSet {
  if (before !== undefined && equal(before, after)) return FieldSet.EMPTY;
  const now = membersOf(schema, after);
  const old = before === undefined ? undefined : membersOf(schema, before);
  if (!now) return new FieldSet(true, new Map());
  const children = new Map<string, FieldSet>();
  for (const [element, { schema: part, value }] of now) {
    const difference = differences(part, old?.get(element)?.value, value);
    if (!difference.isEmpty()) children.set(element, difference);
  }
  // That something below it differs does not make the place itself contested.
  return new FieldSet(before === undefined || !old, children);
}

/** Takes `fields` out of `value`, in place; what becomes empty by it stays only if somebody owns it as such. */
function removeFields(schema: Schema | undefined, value: Json, fields: FieldSet): void {
  const members = membersOf(schema, value);
  if (!members) return;
  for (const [element, set] of fields.children) {
    const member = members.get(element);
    if (!member) continue;
    if (set.children.size > 0) removeFields(member.schema, member.value, set);
    if (set.self || isHollow(member.value)) removeMember(value, element, member.value);
  }
}

const isHollow = (value: Json): boolean =>
  Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;

function removeMember(value: Json, element: string, item: Json): void {
  if (isObject(value)) delete value[element.slice(2)];
  else if (Array.isArray(value)) {
    const at = value.indexOf(item);
    if (at >= 0) value.splice(at, 1);
  }
}

const managerText = ({ manager, operation, apiVersion, time }: Managed): string =>
  operation === 'Apply'
    ? JSON.stringify(manager)
    : `${JSON.stringify(manager)} using ${apiVersion}${time === '' ? '' : ` at ${time}`}`;

/** `.spec.containers[name="a"].image`. */
export function pathText(path: readonly string[]): string {
  return path
    .map((element) => {
      if (element.startsWith('f:')) return `.${element.slice(2)}`;
      if (element.startsWith('v:')) return `[=${element.slice(2)}]`;
      if (!element.startsWith('k:')) return `[${element.slice(2)}]`;
      const keys = JSON.parse(element.slice(2)) as JsonObject;
      return `[${Object.entries(keys)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    })
    .join('');
}
