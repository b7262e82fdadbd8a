/**
 * Sets of fields of one object, as a trie in the form that Kubernetes calls FieldsV1.
 *
 * A path element is `f:name` (a field), `k:{"name":"x"}` (an item of a keyed list) or `v:"x"` (an item of a set); `.`
 * says that the place itself is in the set, not only places below it. Lists and maps that are atomic are one leaf.
 * Immutable; pure.
 */
import { equal, isObject, type Json, type JsonObject } from '../json.ts';
import { objectMetadataSchema } from '../schema/builtin-schema.ts';
import { fieldSchema, type Schema } from '../schema/schema.ts';

export class FieldSet {
  static readonly EMPTY = new FieldSet(false, new Map());

  /** The place itself is in the set. */
  readonly self: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;

  constructor(self: boolean, children: ReadonlyMap<string, FieldSet>) {
    this.self = self;
    this.children = children;
  }

  static fromJson(json: JsonObject): FieldSet {
    const children = new Map<string, FieldSet>();
    let self = false;
    for (const [key, value] of Object.entries(json)) {
      if (key === '.') self = true;
      else if (isObject(value)) {
        const child = FieldSet.fromJson(value);
        children.set(key, child.children.size === 0 ? new FieldSet(true, child.children) : child);
      }
    }
    return new FieldSet(self, children);
  }

  toJson(): JsonObject {
    const json: JsonObject = {};
    if (this.self && this.children.size > 0) json['.'] = {};
    for (const key of [...this.children.keys()].sort()) json[key] = this.children.get(key)?.toJson() ?? {};
    return json;
  }

  isEmpty(): boolean {
    return !this.self && this.children.size === 0;
  }

  union(other: FieldSet): FieldSet {
    if (other.isEmpty()) return this;
    if (this.isEmpty()) return other;
    const children = new Map(this.children);
    for (const [key, child] of other.children) children.set(key, children.get(key)?.union(child) ?? child);
    return new FieldSet(this.self || other.self, children);
  }

  /** The fields of this that are not in `other`. */
  without(other: FieldSet): FieldSet {
    if (other.isEmpty() || this.isEmpty()) return this;
    const children = new Map<string, FieldSet>();
    for (const [key, child] of this.children) {
      const taken = other.children.get(key);
      const left = taken ? child.without(taken) : child;
      if (!left.isEmpty()) children.set(key, left);
    }
    return new FieldSet(this.self && !other.self, children);
  }

  intersection(other: FieldSet): FieldSet {
    const children = new Map<string, FieldSet>();
    for (const [key, child] of this.children) {
      const theirs = other.children.get(key);
      const both = theirs ? child.intersection(theirs) : FieldSet.EMPTY;
      if (!both.isEmpty()) children.set(key, both);
    }
    return new FieldSet(this.self && other.self, children);
  }

  /** Every place in the set, as path elements. */
  *paths(prefix: readonly string[] = []): Generator<readonly string[]> {
    if (this.self) yield prefix;
    for (const [key, child] of this.children) yield* child.paths([...prefix, key]);
  }
}

const LEAF = new FieldSet(true, new Map());

/** All fields that `value` sets. The object itself is not among them. */
export function fieldsOf(schema: Schema, value: JsonObject): FieldSet {
  const set = setOf(schemaWithMetadata(schema), value);
  return new FieldSet(false, set.children);
}

/** What a root schema says, with metadata as every object has it. */
export function schemaWithMetadata(schema: Schema): Schema {
  if (schema.properties?.['metadata']?.properties?.['managedFields']) return schema;
  return Object.create(schema, {
    properties: { value: { ...schema.properties, metadata: objectMetadataSchema() } },
  }) as Schema;
}

function setOf(schema: Schema | undefined, value: Json): FieldSet {
  const members = membersOf(schema, value);
  if (!members) return LEAF;
  const children = new Map<string, FieldSet>();
  for (const [element, { schema: part, value: child }] of members) {
    const set = setOf(part, child);
    children.set(element, isItem(schema, element) ? withSelf(set) : set);
  }
  return new FieldSet(children.size === 0, children);
}

/** An item of a list and a key of a map are owned as such; a field that holds other fields is not. */
const isItem = (schema: Schema | undefined, element: string): boolean =>
  !element.startsWith('f:') ||
  (schema?.additionalProperties !== undefined &&
    !(schema.properties && Object.hasOwn(schema.properties, element.slice(2))));

export interface Member {
  readonly schema: Schema | undefined;
  readonly value: Json;
}

/** The parts of `value` that are owned apart from each other; `undefined` when it is owned as one. */
export function membersOf(schema: Schema | undefined, value: Json): ReadonlyMap<string, Member> | undefined {
  if (schema?.atomic) return undefined;
  if (isObject(value)) {
    return new Map(
      Object.entries(value).map(([key, child]) => [
        `f:${key}`,
        { schema: fieldSchema(schema, key), value: child },
      ]),
    );
  }
  if (!Array.isArray(value)) return undefined;
  if (schema?.list !== 'set' && schema?.list !== 'map') return undefined;
  const members = new Map<string, Member>();
  for (const item of value) {
    const element = itemElement(schema, item);
    if (element === undefined || members.has(element)) return undefined;
    members.set(element, { schema: schema.items, value: item });
  }
  return members;
}

/** How an item of a list of this kind is called; `undefined` when it lacks its keys. */
export function itemElement(schema: Schema, item: Json): string | undefined {
  if (schema.list === 'set') return typeof item === 'object' ? undefined : `v:${JSON.stringify(item)}`;
  if (!isObject(item)) return undefined;
  const key: JsonObject = {};
  for (const name of [...(schema.listKeys ?? [])].sort()) {
    const part = item[name] ?? schema.items?.properties?.[name]?.default ?? KEY_DEFAULTS[name];
    if (part === undefined) return undefined;
    key[name] = part;
  }
  return `k:${JSON.stringify(key)}`;
}

/** Keys of built-in lists that have a default. */
const KEY_DEFAULTS: Readonly<Record<string, Json>> = { protocol: 'TCP' };

export interface ChangedFields {
  /** Set now, and not before or to something else. */
  readonly changed: FieldSet;
  /** Set before, and no longer. */
  readonly removed: FieldSet;
}

export function changedFields(schema: Schema, before: JsonObject, after: JsonObject): ChangedFields {
  const { changed, removed } = compare(schemaWithMetadata(schema), before, after);
  return {
    changed: new FieldSet(false, changed.children),
    removed: new FieldSet(false, removed.children),
  };
}

function compare(schema: Schema | undefined, before: Json, after: Json): ChangedFields {
  if (equal(before, after)) return { changed: FieldSet.EMPTY, removed: FieldSet.EMPTY };
  const [old, now] = [membersOf(schema, before), membersOf(schema, after)];
  if (!old || !now || Array.isArray(before) !== Array.isArray(after)) {
    return { changed: setOf(schema, after), removed: removedOf(setOf(schema, before), setOf(schema, after)) };
  }
  const [changed, removed] = [new Map<string, FieldSet>(), new Map<string, FieldSet>()];
  for (const [element, { schema: part, value }] of now) {
    const was = old.get(element);
    const difference = was
      ? compare(part, was.value, value)
      : { changed: setOf(part, value), removed: FieldSet.EMPTY };
    if (!difference.changed.isEmpty()) changed.set(element, difference.changed);
    if (!difference.removed.isEmpty()) removed.set(element, difference.removed);
  }
  for (const [element, { schema: part, value }] of old) {
    if (!now.has(element)) removed.set(element, withSelf(setOf(part, value)));
  }
  return {
    changed: new FieldSet(now.size === 0 && old.size > 0, changed),
    removed: new FieldSet(false, removed),
  };
}

const removedOf = (before: FieldSet, after: FieldSet): FieldSet => before.without(after);

const withSelf = (set: FieldSet): FieldSet => new FieldSet(true, set.children);
