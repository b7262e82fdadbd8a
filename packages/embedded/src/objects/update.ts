/**
 * Changing an object: by PUT, by any patch, of the whole or of one subresource.
 *
 * The change is a function of what is stored. When another write comes first it is computed again, unless the client
 * named the version it had seen; then it is told so (409).
 */
import { checkEscalation } from '../access/escalation.ts';
import { finishUpdate, kindProblems } from '../admission/rules.ts';
import { conflict, invalid, notFound, OVERTAKEN } from '../errors.ts';
import { clone, equal, type JsonObject, objectAt, textAt } from '../json.ts';
import { kindSubjectOf, type Resource, storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { WRITE_ATTEMPTS } from '../limits.ts';
import { finalizersOf, isTerminating, nameOf, revisionOf, uidOf } from '../object.ts';
import { trackUpdate } from '../patch/managed-fields.ts';
import { objectKey } from '../storage/store.ts';
import { checkSize } from './check-size.ts';
import type { Context, WriteOptions } from './context.ts';
import { metadataProblems } from './metadata.ts';
import { schemaProblems } from './read-object.ts';

export interface UpdateRequest {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  /** Empty for the object itself. */
  readonly subresource: '' | 'status' | 'finalize' | 'internal';
  /** What the object shall become; may be called again. The result is the caller's to give away. */
  readonly change: (current: JsonObject) => JsonObject;
  /** The client named the version that it has seen: nothing is tried again on another one. */
  readonly pinned: boolean;
  /** True when `change` has already written managedFields: server-side apply. */
  readonly managed?: boolean;
}

const IMMUTABLE_METADATA = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'resourceVersion',
  'generateName',
];

/** @returns the object as it is afterwards; it may be gone, when the change removed its last finalizer. */
export async function updateObject(
  context: Context,
  request: UpdateRequest,
  options: WriteOptions,
): Promise<JsonObject> {
  const { resource, namespace, name } = request;
  const storage = storageKeyOf(resource);
  const key = objectKey(namespace, name);
  for (let attempt = 1; ; attempt++) {
    const current = context.store.get(storage, key);
    if (!current) throw notFound(subjectOf(resource, name));
    const next = prepare(context, request, current, options);
    if (!next) return current;
    const warnings = await context.admission({
      resource,
      subresource: request.subresource === 'internal' ? '' : request.subresource,
      operation: 'UPDATE',
      namespace,
      name,
      object: next,
      oldObject: current,
      user: options.user,
      dryRun: options.dryRun,
    });
    if (context.store.get(storage, key) === current) {
      options.warnings.push(...warnings);
      return options.dryRun ? next : write(context, resource, key, next);
    }
    if (request.pinned || attempt >= WRITE_ATTEMPTS) throw conflict(subjectOf(resource, name), OVERTAKEN);
  }
}

/** Stores, or removes what was only waiting for its last finalizer to go. */
function write(context: Context, resource: Resource, key: string, next: JsonObject): JsonObject {
  const storage = storageKeyOf(resource);
  const stored = context.store.put(storage, key, next);
  if (!isTerminating(stored) || finalizersOf(stored).length > 0) return stored;
  const waits =
    storage === 'namespaces'
      ? objectAt(stored, 'spec')['finalizers'] !== undefined
      : Number(objectAt(stored, 'metadata')['deletionGracePeriodSeconds'] ?? 0) > 0;
  return waits ? stored : (context.store.remove(storage, key) ?? stored);
}

/** The object to store; `undefined` when nothing changes. */
function prepare(
  context: Context,
  request: UpdateRequest,
  current: JsonObject,
  options: WriteOptions,
): JsonObject | undefined {
  const { resource, name, subresource } = request;
  const wanted = request.change(current);
  const metadata = objectAt(wanted, 'metadata');
  const subject = subjectOf(resource, name);
  const version = textAt(metadata, 'resourceVersion') ?? '';
  if (version !== '' && version !== '0' && version !== String(revisionOf(current))) {
    throw conflict(subject, OVERTAKEN);
  }
  const uid = textAt(metadata, 'uid') ?? '';
  if (uid !== '' && uid !== uidOf(current)) {
    throw conflict(
      subject,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${uidOf(current)}`,
    );
  }
  const next =
    request.subresource === 'status'
      ? withStatus(resource, current, wanted)
      : keepStatus(resource, subresource, current, wanted);
  const nextMetadata = objectAt(next, 'metadata');
  const nameChanged = textAt(nextMetadata, 'name') !== nameOf(current);
  keep(IMMUTABLE_METADATA, objectAt(current, 'metadata'), nextMetadata);
  if (nameChanged && textAt(metadata, 'name')) {
    throw invalid(kindSubjectOf(resource, name), [
      {
        reason: 'FieldValueInvalid',
        field: 'metadata.name',
        message: `Invalid value: ${JSON.stringify(textAt(metadata, 'name'))}: field is immutable`,
      },
    ]);
  }
  finishUpdate(context, resource, next, current, subresource);
  if (resource.hasGeneration && !equal(contentOf(next), contentOf(current))) {
    nextMetadata['generation'] = Number(objectAt(current, 'metadata')['generation'] ?? 1) + 1;
  }
  checkEscalation(context.store, options.user, resource, next, current);
  if (subresource !== 'internal') checkUpdate(context, resource, next, current, name);
  if (!request.managed) {
    const part = subresource === 'internal' ? '' : subresource;
    trackUpdate(resource, next, current, options.fieldManager, part, context.clock.now());
  }
  checkSize(next);
  return equal(withoutTimes(next), withoutTimes(current)) ? undefined : next;
}

function checkUpdate(
  context: Context,
  resource: Resource,
  next: JsonObject,
  current: JsonObject,
  name: string,
): void {
  const problems = [
    ...metadataProblems(resource, next),
    ...schemaProblems(resource, next),
    ...kindProblems(context, resource, next, current),
    ...newFinalizerProblems(next, current),
  ];
  if (problems.length > 0) throw invalid(kindSubjectOf(resource, name), problems);
}

/** What is going away may lose finalizers, not gain them. */
function newFinalizerProblems(next: JsonObject, current: JsonObject) {
  if (!isTerminating(current)) return [];
  const added = finalizersOf(next).filter((finalizer) => !finalizersOf(current).includes(finalizer));
  if (added.length === 0) return [];
  return [
    {
      reason: 'FieldValueForbidden' as const,
      field: 'metadata.finalizers',
      message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
    },
  ];
}

/**
 * The current object with the wanted status. With built-in kinds, metadata may change along (node agents annotate pods
 * so); with custom ones, only managedFields do.
 */
function withStatus(resource: Resource, current: JsonObject, wanted: JsonObject): JsonObject {
  const next = clone(current);
  if (wanted['status'] === undefined) delete next['status'];
  else next['status'] = wanted['status'];
  const [metadata, asked] = [objectAt(next, 'metadata'), objectAt(wanted, 'metadata')];
  for (const field of resource.custom
    ? ['managedFields']
    : ['labels', 'annotations', 'finalizers', 'managedFields']) {
    if (asked[field] === undefined) delete metadata[field];
    else metadata[field] = asked[field];
  }
  return next;
}

function keepStatus(
  resource: Resource,
  subresource: UpdateRequest['subresource'],
  current: JsonObject,
  wanted: JsonObject,
): JsonObject {
  if (!resource.hasStatus || subresource === 'internal') return wanted;
  const { status: _, ...rest } = wanted;
  return current['status'] === undefined ? rest : { ...rest, status: clone(current['status']) };
}

function keep(fields: readonly string[], from: JsonObject, to: JsonObject): void {
  for (const field of fields) {
    const value = from[field];
    if (value === undefined) delete to[field];
    else to[field] = value;
  }
}

/** What `generation` counts the changes of. */
function contentOf(object: JsonObject): JsonObject {
  const { apiVersion: _, metadata: __, status: ___, ...content } = object;
  return content;
}

/** For "did anything change": the times in managedFields do not count. */
function withoutTimes(object: JsonObject): JsonObject {
  const metadata = { ...objectAt(object, 'metadata') };
  const managed = metadata['managedFields'];
  if (Array.isArray(managed)) {
    metadata['managedFields'] = managed.map((entry) =>
      typeof entry === 'object' && entry !== null && !Array.isArray(entry) ? { ...entry, time: '' } : entry,
    );
  }
  return { ...object, metadata };
}
