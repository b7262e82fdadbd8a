/** The four kinds of patch, over the same update. */
import { badRequest, conflict, invalid, StatusError } from '../errors.ts';
import { clone, isObject, type Json, type JsonObject, textAt } from '../json.ts';
import { groupVersionOf, kindSubjectOf, type Resource, storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { asVersion } from '../admission/custom-resource-definition.ts';
import { applyPatch } from '../patch/apply.ts';
import { jsonPatch } from '../patch/json-patch.ts';
import { mergePatch } from '../patch/merge-patch.ts';
import { strategicMergePatch } from '../patch/strategic-merge-patch.ts';
import { objectKey } from '../storage/store.ts';
import type { Context, WriteOptions } from './context.ts';
import { createPrepared } from './create.ts';
import { readObject } from './read-object.ts';
import { updateObject } from './update.ts';

export interface PatchRequest {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: '' | 'status';
  /** The media type, which says what kind of patch it is. */
  readonly type: string;
  readonly patch: Json;
  /** For apply: take fields from other managers. */
  readonly force: boolean;
}

export interface Patched {
  readonly object: JsonObject;
  readonly created: boolean;
}

export async function patchObject(
  context: Context,
  request: PatchRequest,
  options: WriteOptions,
): Promise<Patched> {
  const change = changeOf(request);
  if (!change) return await serverSideApply(context, request, options);
  const { resource, namespace, name, subresource } = request;
  const warned: string[] = [];
  const object = await updateObject(
    context,
    {
      resource,
      namespace,
      name,
      subresource,
      pinned: namesVersion(request),
      change: (current) => {
        const patched = change(asVersion(clone(current), groupVersionOf(resource)));
        return readObject(resource, patched, { ...options, warnings: warned });
      },
    },
    options,
  );
  options.warnings.push(...warned);
  return { object, created: false };
}

/** Whether the patch says which version it is for. */
function namesVersion({ patch }: PatchRequest): boolean {
  if (!Array.isArray(patch)) return Boolean(textAt(patch, 'metadata', 'resourceVersion'));
  return patch.some((operation) => textAt(operation, 'path') === '/metadata/resourceVersion');
}

/** What the patch does to an object of the client's own; `undefined` for apply. */
function changeOf({ type, patch, resource }: PatchRequest): ((object: JsonObject) => Json) | undefined {
  switch (type) {
    case 'application/json-patch+json':
      return (object) => jsonPatch(object, patch);
    case 'application/merge-patch+json':
      if (!isObject(patch)) throw badRequest('a merge patch must be an object');
      return (object) => mergePatch(object, patch);
    case 'application/strategic-merge-patch+json':
      if (resource.custom) {
        throw unsupported(
          'application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
        );
      }
      if (!isObject(patch)) throw badRequest('a strategic merge patch must be an object');
      return (object) => strategicMergePatch(resource.schema, object, patch);
    case 'application/apply-patch+yaml':
      return undefined;
    default:
      throw unsupported(
        'application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml',
      );
  }
}

const unsupported = (accepted: string): StatusError =>
  new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
  );

async function serverSideApply(
  context: Context,
  request: PatchRequest,
  options: WriteOptions,
): Promise<Patched> {
  const { resource, namespace, name, subresource, patch } = request;
  if (options.fieldManager === 'unknown') {
    throw invalid({ group: 'meta.k8s.io', kind: 'PatchOptions' }, [
      {
        reason: 'FieldValueRequired',
        field: 'fieldManager',
        message: 'Required value: is required for apply patch',
      },
    ]);
  }
  if (!isObject(patch)) throw badRequest('the body of an apply patch must be an object');
  checkApplied(request, patch);
  const applied = {
    manager: options.fieldManager,
    subresource,
    force: request.force,
    nowMs: context.clock.now(),
  };
  const warned: string[] = [];
  const read = (object: Json) => readObject(resource, object, { ...options, warnings: warned });
  const current = context.store.get(storageKeyOf(resource), objectKey(namespace, name));
  if (!current && subresource === '') {
    if (textAt(patch, 'metadata', 'uid')) {
      throw conflict(
        subjectOf(resource, name),
        'uid mismatch: the provided object specified uid, and no existing object was found',
      );
    }
    const { object } = applyPatch(resource, undefined, patch, applied);
    const created = await createPrepared(context, resource, namespace, read(object), options, true);
    options.warnings.push(...warned);
    return { object: created, created: true };
  }
  const object = await updateObject(
    context,
    {
      resource,
      namespace,
      name,
      subresource,
      pinned: namesVersion(request),
      managed: true,
      change: (latest) => {
        const own = asVersion(latest, groupVersionOf(resource));
        const result = applyPatch(resource, own, patch, applied);
        if (result.conflicts.length > 0) throw applyConflict(resource, name, result.conflicts);
        return read(result.object);
      },
    },
    options,
  );
  options.warnings.push(...warned);
  return { object, created: false };
}

function checkApplied({ resource, namespace, name }: PatchRequest, patch: JsonObject): void {
  const subject = kindSubjectOf(resource, name);
  if (textAt(patch, 'apiVersion') !== groupVersionOf(resource) || textAt(patch, 'kind') !== resource.kind) {
    throw badRequest(
      `an apply patch must say apiVersion ${groupVersionOf(resource)} and kind ${resource.kind}`,
    );
  }
  const named = textAt(patch, 'metadata', 'name');
  if (named !== undefined && named !== name)
    throw badRequest(`the name in the patch (${named}) is not that of the path (${name})`);
  const home = textAt(patch, 'metadata', 'namespace');
  if (home !== undefined && home !== namespace && resource.namespaced) {
    throw badRequest(`the namespace in the patch (${home}) is not that of the path (${namespace})`);
  }
  const managed = isObject(patch['metadata']) ? patch['metadata']['managedFields'] : undefined;
  if (Array.isArray(managed) && managed.length > 0) {
    throw invalid(subject, [
      {
        reason: 'FieldValueInvalid',
        field: 'metadata.managedFields',
        message: 'Invalid value: must be nil in an apply patch',
      },
    ]);
  }
}

function applyConflict(
  resource: Resource,
  name: string,
  conflicts: readonly { readonly manager: string; readonly field: string }[],
): StatusError {
  const byManager = Map.groupBy(conflicts, ({ manager }) => manager);
  const lines = [...byManager].map(([manager, list]) =>
    list.length === 1
      ? `conflict with ${manager}: ${list[0]?.field}`
      : `conflicts with ${manager}:\n${list.map(({ field }) => `- ${field}`).join('\n')}`,
  );
  return new StatusError(
    'Conflict',
    `Apply failed with ${conflicts.length} conflict${conflicts.length === 1 ? '' : 's'}: ${lines.join('\n')}`,
    {
      subject: subjectOf(resource, name),
      causes: conflicts.map(({ manager, field }) => ({
        reason: 'FieldManagerConflict',
        field,
        message: `conflict with ${manager}`,
      })),
    },
  );
}
