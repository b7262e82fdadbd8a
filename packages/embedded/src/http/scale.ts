/** The scale of what has replicas: one number, whatever the kind. */
import { badRequest } from '../errors.ts';
import { at, clone, ensureObject, isObject, type JsonObject, numberAt, objectAt, textAt } from '../json.ts';
import type { Resource } from '../kinds/resource.ts';
import { metadataOf } from '../object.ts';
import type { Context } from '../objects/context.ts';
import { updateObject } from '../objects/update.ts';
import { mergePatch } from '../patch/merge-patch.ts';
import { jsonPatch } from '../patch/json-patch.ts';
import { decodeBody, mediaType, readBody } from './body.ts';
import { type Call, writeOptionsOf } from './resource-handler.ts';
import { storedObject } from './subresources.ts';

const steps = (path: string): readonly string[] => path.split('.').filter((step) => step !== '');

export function readScale(resource: Resource, object: JsonObject): JsonObject {
  const {
    name = '',
    namespace = '',
    uid = '',
    resourceVersion = '',
    creationTimestamp = '',
  } = metadataOf(object);
  const { spec = '', status = '', selector } = resource.scale ?? {};
  const chosen = selector === undefined ? undefined : at(object, ...steps(selector));
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: numberAt(object, ...steps(spec)) ?? 0 },
    status: {
      replicas: numberAt(object, ...steps(status)) ?? 0,
      ...(chosen !== undefined && { selector: selectorText(chosen) }),
    },
  };
}

const selectorText = (selector: unknown): string =>
  typeof selector === 'string'
    ? selector
    : Object.entries(objectAt(selector as JsonObject, 'matchLabels'))
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(',');

/** PUT or PATCH; @returns the scale afterwards. */
export async function writeScale(context: Context, call: Call): Promise<JsonObject> {
  const { resource, namespace, name } = call.info;
  const type = mediaType(call.request);
  const body = decodeBody(await readBody(call.request), type);
  const current = readScale(resource, storedObject(context, call));
  const wanted =
    call.verb === 'update'
      ? body
      : type === 'application/json-patch+json'
        ? jsonPatch(current, body)
        : mergePatch(current, body);
  const replicas = numberAt(wanted, 'spec', 'replicas') ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0) {
    throw badRequest(`spec.replicas: Invalid value: ${replicas}: must be greater than or equal to 0`);
  }
  const version = call.verb === 'update' ? textAt(wanted, 'metadata', 'resourceVersion') : undefined;
  const path = steps(resource.scale?.spec ?? '');
  const object = await updateObject(
    context,
    {
      resource,
      namespace,
      name,
      subresource: '',
      pinned: Boolean(version),
      change: (stored) => {
        const next = clone(stored);
        let place = next;
        for (const step of path.slice(0, -1)) place = ensureObject(place, step);
        place[path[path.length - 1] ?? 'replicas'] = replicas;
        if (version && isObject(next['metadata'])) next['metadata']['resourceVersion'] = version;
        return next;
      },
    },
    writeOptionsOf(call),
  );
  return readScale(resource, object);
}
