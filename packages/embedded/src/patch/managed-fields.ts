/**
 * metadata.managedFields: who last set which field.
 *
 * Two kinds of entries: `Apply` (server-side apply: what the manager wants) and `Update` (everything else: what it
 * changed). Taking over a field takes it from the others.
 */
import { isObject, type Json, type JsonObject, listAt, objectAt, textAt } from '../json.ts';
import { groupVersionOf, type Resource } from '../kinds/resource.ts';
import { FIELD_MANAGERS } from '../limits.ts';
import { timestamp } from '../object.ts';
import { changedFields, FieldSet, fieldsOf } from './field-set.ts';

export interface Managed {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  /** Empty, or `status`. */
  readonly subresource: string;
  readonly time: string;
  readonly fields: FieldSet;
}

export function readManaged(object: JsonObject): readonly Managed[] {
  return listAt(object, 'metadata', 'managedFields')
    .filter(isObject)
    .map(
      (entry): Managed => ({
        manager: textAt(entry, 'manager') ?? '',
        operation: entry['operation'] === 'Apply' ? 'Apply' : 'Update',
        apiVersion: textAt(entry, 'apiVersion') ?? '',
        subresource: textAt(entry, 'subresource') ?? '',
        time: textAt(entry, 'time') ?? '',
        fields: FieldSet.fromJson(objectAt(entry, 'fieldsV1')),
      }),
    );
}

/** Whether a client's own notes can be taken as they are. */
function isReadable(object: JsonObject): boolean {
  return listAt(object, 'metadata', 'managedFields').every(
    (entry) =>
      isObject(entry) &&
      (entry['operation'] === 'Apply' || entry['operation'] === 'Update') &&
      entry['fieldsType'] === 'FieldsV1' &&
      isObject(entry['fieldsV1']),
  );
}

export function writeManaged(object: JsonObject, managed: readonly Managed[]): void {
  const metadata = objectAt(object, 'metadata');
  const entries = bounded(managed.filter(({ fields }) => !fields.isEmpty()));
  if (entries.length === 0) {
    delete metadata['managedFields'];
    return;
  }
  metadata['managedFields'] = entries.map(
    (entry): Json => ({
      manager: entry.manager,
      operation: entry.operation,
      apiVersion: entry.apiVersion,
      ...(entry.time !== '' && { time: entry.time }),
      fieldsType: 'FieldsV1',
      fieldsV1: entry.fields.toJson(),
      ...(entry.subresource !== '' && { subresource: entry.subresource }),
    }),
  );
}

/** Beyond the limit, the oldest `Update` entries become one, called as Kubernetes calls it. */
function bounded(managed: readonly Managed[]): readonly Managed[] {
  const updates = managed.filter(({ operation }) => operation === 'Update');
  if (updates.length <= FIELD_MANAGERS) return managed;
  const oldest = [...updates]
    .sort((a, b) => a.time.localeCompare(b.time))
    .slice(0, updates.length - FIELD_MANAGERS + 1);
  const merged = oldest.reduce((fields, entry) => fields.union(entry.fields), FieldSet.EMPTY);
  const last = oldest[oldest.length - 1];
  if (!last) return managed;
  return [
    ...managed.filter((entry) => !oldest.includes(entry)),
    { ...last, manager: 'ancient-changes', fields: merged },
  ];
}

/** The fields of `object` that can have a manager: not its names and numbers. */
export function ownedFields(resource: Resource, object: JsonObject): FieldSet {
  return fieldsOf(resource.schema, manageable(object));
}

/** `object` without what nobody manages. */
export function manageable(object: JsonObject): JsonObject {
  const { apiVersion: _, kind: __, metadata, ...rest } = object;
  if (!isObject(metadata)) return rest;
  const kept: JsonObject = { ...metadata };
  for (const field of UNMANAGED) delete kept[field];
  return Object.keys(kept).length === 0 ? rest : { metadata: kept, ...rest };
}

const UNMANAGED = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'selfLink',
  'managedFields',
];

/**
 * After a create, a PUT or a patch by `manager`: what it changed is its own, and nobody else's any more. In place.
 *
 * A client that sends an empty list of managedFields resets them. Others that it sends to the object itself count, which is how
 * fields are taken from a manager; what cannot be read does not.
 */
export function trackUpdate(
  resource: Resource,
  next: JsonObject,
  previous: JsonObject | undefined,
  manager: string,
  subresource: string,
  nowMs: number,
): void {
  const reset =
    Array.isArray(objectAt(next, 'metadata')['managedFields']) &&
    listAt(next, 'metadata', 'managedFields').length === 0;
  const sent = subresource === '' && isReadable(next) ? readManaged(next) : [];
  const before = !previous || reset ? [] : sent.length > 0 ? sent : readManaged(previous);
  const { changed, removed } = changedFields(
    resource.schema,
    previous ? manageable(previous) : {},
    manageable(next),
  );
  if (reset && previous) {
    writeManaged(next, []);
    return;
  }
  const apiVersion = groupVersionOf(resource);
  const isOwn = (entry: Managed) =>
    entry.manager === manager &&
    entry.operation === 'Update' &&
    entry.subresource === subresource &&
    entry.apiVersion === apiVersion;
  const own = before.find(isOwn);
  const others = before
    .filter((entry) => !isOwn(entry))
    .map((entry) => ({ ...entry, fields: entry.fields.without(changed).without(removed) }));
  if (changed.isEmpty() && removed.isEmpty()) {
    writeManaged(next, before);
    return;
  }
  const fields = (own?.fields ?? FieldSet.EMPTY).without(removed).union(changed);
  const touched = !changed.isEmpty();
  writeManaged(next, [
    ...others,
    {
      manager,
      operation: 'Update',
      apiVersion,
      subresource,
      time: touched ? timestamp(nowMs) : (own?.time ?? timestamp(nowMs)),
      fields,
    },
  ]);
}
