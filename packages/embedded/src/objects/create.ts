/** Creating an object: named, defaulted, checked, admitted, stored. */
import { randomUUID } from 'node:crypto';
import { checkEscalation } from '../access/escalation.ts';
import { finishCreate, kindProblems, kindWarnings } from '../admission/rules.ts';
import { alreadyExists, badRequest, type FieldProblem, forbidden, invalid, notFound } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { objectAt, textAt } from '../json.ts';
import { kindSubjectOf, type Resource, storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { NAME_ATTEMPTS } from '../limits.ts';
import { nameOf, timestamp } from '../object.ts';
import { trackUpdate } from '../patch/managed-fields.ts';
import { objectKey } from '../storage/store.ts';
import { checkSize } from './check-size.ts';
import type { Context, WriteOptions } from './context.ts';
import { metadataProblems } from './metadata.ts';
import { generatedName } from './names.ts';
import { readObject, schemaProblems } from './read-object.ts';

/** @param namespace - Empty for a resource that is in none. */
export async function createObject(
  context: Context,
  resource: Resource,
  namespace: string,
  body: Json,
  options: WriteOptions,
): Promise<JsonObject> {
  return await createPrepared(context, resource, namespace, readObject(resource, body, options), options);
}

/**
 * As {@link createObject}, of an object that was already read; it becomes the store's.
 *
 * @param managed - Whether its managedFields are already what they must be.
 */
export async function createPrepared(
  context: Context,
  resource: Resource,
  namespace: string,
  object: JsonObject,
  options: WriteOptions,
  managed = false,
): Promise<JsonObject> {
  const { store, clock } = context;
  const metadata = objectAt(object, 'metadata');
  if (textAt(metadata, 'resourceVersion')) {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  placeInNamespace(context, resource, namespace, object);
  const generate = nameOf(object) === '' ? textAt(metadata, 'generateName') : undefined;
  if (nameOf(object) === '' && !generate) {
    throw invalid(kindSubjectOf(resource, ''), [
      {
        reason: 'FieldValueRequired',
        field: 'metadata.name',
        message: 'Required value: name or generateName is required',
      },
    ]);
  }
  if (generate) metadata['name'] = freeName(context, resource, namespace, generate);
  const key = objectKey(namespace, nameOf(object));
  const storage = storageKeyOf(resource);
  if (store.get(storage, key)) throw alreadyExists(subjectOf(resource, nameOf(object)));

  metadata['uid'] = randomUUID();
  metadata['creationTimestamp'] = timestamp(clock.now());
  delete metadata['selfLink'];
  delete metadata['deletionTimestamp'];
  delete metadata['deletionGracePeriodSeconds'];
  if (resource.hasGeneration) metadata['generation'] = 1;
  else delete metadata['generation'];
  if (resource.hasStatus) delete object['status'];
  finishCreate(context, resource, object);
  const refuse = (problems: readonly FieldProblem[]) => {
    if (problems.length > 0) throw invalid(kindSubjectOf(resource, nameOf(object)), problems);
  };
  refuse([
    ...metadataProblems(resource, object),
    ...schemaProblems(resource, object),
    ...kindProblems(context, resource, object, undefined),
  ]);
  checkEscalation(store, options.user, resource, object, undefined);
  if (!managed) trackUpdate(resource, object, undefined, options.fieldManager, '', clock.now());
  checkSize(object);
  const warnings = await context.admission({
    resource,
    subresource: '',
    operation: 'CREATE',
    namespace,
    name: nameOf(object),
    object,
    oldObject: undefined,
    user: options.user,
    dryRun: options.dryRun,
  });
  options.warnings.push(...warnings, ...kindWarnings(resource, object));
  // Admission may have waited: what was free, and what existed, is asked again before it is stored.
  if (store.get(storage, key)) throw alreadyExists(subjectOf(resource, nameOf(object)));
  placeInNamespace(context, resource, namespace, object);
  refuse(kindProblems(context, resource, object, undefined));
  return options.dryRun ? object : store.put(storage, key, object);
}

function placeInNamespace(context: Context, resource: Resource, namespace: string, object: JsonObject): void {
  const metadata = objectAt(object, 'metadata');
  if (!resource.namespaced) {
    delete metadata['namespace'];
    return;
  }
  const named = textAt(metadata, 'namespace');
  if (named !== undefined && named !== '' && named !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  metadata['namespace'] = namespace;
  const home = context.store.get('namespaces', namespace);
  if (!home) throw notFound({ group: '', kind: 'namespaces', name: namespace });
  if (textAt(home, 'metadata', 'deletionTimestamp') === undefined) return;
  throw forbidden(
    subjectOf(resource, nameOf(object)),
    `unable to create new content in namespace ${namespace} because it is being terminated`,
    [
      {
        reason: 'NamespaceTerminating',
        field: 'metadata.namespace',
        message: `namespace ${namespace} is being terminated`,
      },
    ],
  );
}

function freeName(context: Context, resource: Resource, namespace: string, prefix: string): string {
  for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
    const name = generatedName(prefix, context.random);
    if (!context.store.get(storageKeyOf(resource), objectKey(namespace, name))) return name;
  }
  throw alreadyExists(subjectOf(resource, `${prefix}…`));
}
