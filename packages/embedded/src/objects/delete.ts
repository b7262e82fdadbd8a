/**
 * Deleting: at once, or marked when somebody still has to finish: a kubelet that stops a pod, a controller behind a
 * finalizer, the garbage collector for dependents.
 */
import { badRequest, conflict, notFound, StatusError } from '../errors.ts';
import { clone, type Json, type JsonObject, numberAt, objectAt, textAt, textsAt } from '../json.ts';
import { type Resource, storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { finalizersOf, isTerminating, revisionOf, timestamp, uidOf } from '../object.ts';
import { objectKey } from '../storage/store.ts';
import type { Context, WriteOptions } from './context.ts';

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

export interface DeleteOptions {
  /** Absent: what the kind, or the pod, says. */
  readonly graceSeconds?: number;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation: 'Background' | 'Foreground' | 'Orphan';
}

/** `DeleteOptions` as a body or a query has them. @throws a 400. */
export function readDeleteOptions(body: JsonObject): DeleteOptions {
  const graceSeconds = numberAt(body, 'gracePeriodSeconds');
  if (graceSeconds !== undefined && (graceSeconds < 0 || !Number.isInteger(graceSeconds))) {
    throw badRequest('DeleteOptions.gracePeriodSeconds: must be a whole number, 0 or more');
  }
  const propagation =
    textAt(body, 'propagationPolicy') ?? (body['orphanDependents'] === true ? 'Orphan' : 'Background');
  if (propagation !== 'Background' && propagation !== 'Foreground' && propagation !== 'Orphan') {
    throw badRequest(`DeleteOptions.propagationPolicy: Unsupported value: ${JSON.stringify(propagation)}`);
  }
  const uid = textAt(body, 'preconditions', 'uid');
  const resourceVersion = textAt(body, 'preconditions', 'resourceVersion');
  return {
    propagation,
    ...(graceSeconds !== undefined && { graceSeconds }),
    ...(uid !== undefined && { uid }),
    ...(resourceVersion !== undefined && { resourceVersion }),
  };
}

export interface Deleted {
  readonly object: JsonObject;
  /** False: it is marked, and goes when those who must have finished. */
  readonly gone: boolean;
}

export async function deleteObject(
  context: Context,
  resource: Resource,
  namespace: string,
  name: string,
  wish: DeleteOptions,
  options: WriteOptions,
): Promise<Deleted> {
  const { store } = context;
  const storage = storageKeyOf(resource);
  const key = objectKey(namespace, name);
  const current = find(context, resource, key, name);
  checkPreconditions(resource, name, current, wish);
  if (storage === 'namespaces' && PROTECTED.includes(name)) {
    throw new StatusError(
      'Forbidden',
      `namespaces "${name}" is forbidden: this namespace may not be deleted`,
      {
        subject: subjectOf(resource, name),
      },
    );
  }
  const warnings = await context.admission({
    resource,
    subresource: '',
    operation: 'DELETE',
    namespace,
    name,
    object: undefined,
    oldObject: current,
    user: options.user,
    dryRun: options.dryRun,
  });
  options.warnings.push(...warnings);
  const latest = find(context, resource, key, name);
  checkPreconditions(resource, name, latest, wish);
  const marked = mark(context, resource, latest, wish);
  if (options.dryRun) return { object: marked ?? latest, gone: marked === undefined };
  if (marked === undefined) return { object: store.remove(storage, key) ?? latest, gone: true };
  return { object: marked === latest ? latest : store.put(storage, key, marked), gone: false };
}

const PROTECTED = ['default', 'kube-system', 'kube-public'];

function find(context: Context, resource: Resource, key: string, name: string): JsonObject {
  const object = context.store.get(storageKeyOf(resource), key);
  if (!object) throw notFound(subjectOf(resource, name));
  return object;
}

function checkPreconditions(resource: Resource, name: string, object: JsonObject, wish: DeleteOptions): void {
  if (wish.uid !== undefined && wish.uid !== uidOf(object)) {
    throw conflict(
      subjectOf(resource, name),
      `Precondition failed: UID in precondition: ${wish.uid}, UID in object meta: ${uidOf(object)}`,
    );
  }
  if (wish.resourceVersion !== undefined && wish.resourceVersion !== String(revisionOf(object))) {
    throw conflict(
      subjectOf(resource, name),
      `Precondition failed: ResourceVersion in precondition: ${wish.resourceVersion}, ResourceVersion in object meta: ${revisionOf(object)}`,
    );
  }
}

/** The object as it waits for its end; the very same if it already does so; `undefined` when nothing holds it. */
function mark(
  context: Context,
  resource: Resource,
  object: JsonObject,
  wish: DeleteOptions,
): JsonObject | undefined {
  const grace = graceSecondsOf(resource, object, wish);
  const finalizers = withPropagation(finalizersOf(object), wish, isTerminating(object));
  const isNamespace = storageKeyOf(resource) === 'namespaces';
  const held = finalizers.length > 0 || (isNamespace && textsAt(object, 'spec', 'finalizers').length > 0);
  const running = numberAt(object, 'metadata', 'deletionGracePeriodSeconds') ?? 0;
  if (isTerminating(object) && grace > 0 && running <= grace) return object;
  if (grace === 0 && !held) return undefined;
  if (isTerminating(object) && running === grace && finalizers.length === finalizersOf(object).length)
    return object;

  const next = clone(object);
  const metadata = objectAt(next, 'metadata');
  metadata['deletionTimestamp'] = timestamp(context.clock.now() + grace * 1_000);
  metadata['deletionGracePeriodSeconds'] = grace;
  if (finalizers.length > 0) metadata['finalizers'] = [...finalizers] as Json[];
  if (resource.hasGeneration && !isTerminating(object)) {
    metadata['generation'] = (numberAt(metadata, 'generation') ?? 1) + 1;
  }
  if (isNamespace) next['status'] = { ...objectAt(next, 'status'), phase: 'Terminating' };
  return next;
}

/** Only pods that a node may be running have a grace period; the kubelet ends it by deleting with 0. */
function graceSecondsOf(resource: Resource, object: JsonObject, wish: DeleteOptions): number {
  if (storageKeyOf(resource) !== 'pods') return 0;
  if (!textAt(object, 'spec', 'nodeName')) return 0;
  if (['Succeeded', 'Failed'].includes(textAt(object, 'status', 'phase') ?? '')) return 0;
  const running = numberAt(object, 'metadata', 'deletionGracePeriodSeconds');
  const own = running ?? numberAt(object, 'spec', 'terminationGracePeriodSeconds') ?? 30;
  return wish.graceSeconds ?? own;
}

function withPropagation(
  finalizers: readonly string[],
  wish: DeleteOptions,
  terminating: boolean,
): readonly string[] {
  if (terminating) return finalizers;
  const others = finalizers.filter((finalizer) => finalizer !== FOREGROUND && finalizer !== ORPHAN);
  if (wish.propagation === 'Foreground') return [...others, FOREGROUND];
  return wish.propagation === 'Orphan' ? [...others, ORPHAN] : others;
}
