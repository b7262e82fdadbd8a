/** Lists: selected, in pages. A page's token names the key after which the next one starts. */
import { badRequest, StatusError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';
import { LIST_PAGE_OBJECTS } from '../limits.ts';
import { labelsOf, nameOf, namespaceOf } from '../object.ts';
import { type FieldSelector, matchesFields } from '../select/fields.ts';
import { type LabelSelector, matchesLabels } from '../select/labels.ts';
import { type ObjectStore, objectKey } from '../storage/store.ts';

export interface ListRequest {
  readonly resource: Resource;
  /** Empty: all. */
  readonly namespace: string;
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
  /** 0: all at once. */
  readonly limit: number;
  readonly continueToken: string;
}

export interface ListPage {
  readonly objects: readonly JsonObject[];
  readonly metadata: JsonObject;
}

/**
 * Pages after the first show the state as it is by then, but carry the first page's resourceVersion: a watch from there
 * tells everything that changed meanwhile, also what was deleted after it had been listed.
 */
export function listObjects(store: ObjectStore, request: ListRequest): ListPage {
  const { resource, namespace, labels, fields, limit } = request;
  const { after, revision } =
    request.continueToken === '' ? { after: '', revision: store.revision } : readToken(request.continueToken);
  const matching = store
    .list(storageKeyOf(resource), namespace === '' ? undefined : namespace)
    .filter(
      (object) =>
        keyOf(object) > after && matchesLabels(labels, labelsOf(object)) && matchesFields(fields, object),
    );
  const size = limit > 0 ? Math.min(limit, LIST_PAGE_OBJECTS) : LIST_PAGE_OBJECTS;
  const objects = matching.slice(0, size);
  const last = objects[objects.length - 1];
  const left = matching.length - objects.length;
  const selected = labels.length > 0 || fields.length > 0;
  return {
    objects,
    metadata: {
      resourceVersion: String(revision),
      ...(left > 0 && last && { continue: makeToken(keyOf(last), revision) }),
      ...(left > 0 && !selected && { remainingItemCount: left }),
    },
  };
}

const keyOf = (object: JsonObject): string => objectKey(namespaceOf(object), nameOf(object));

const makeToken = (after: string, revision: number): string =>
  Buffer.from(JSON.stringify({ v: 1, after, revision })).toString('base64url');

function readToken(token: string): { readonly after: string; readonly revision: number } {
  try {
    const read = JSON.parse(Buffer.from(token, 'base64url').toString()) as Record<string, unknown>;
    const { v, after, revision } = read;
    if (v === 1 && typeof after === 'string' && typeof revision === 'number') return { after, revision };
  } catch {
    // Said below.
  }
  throw badRequest('continue key is not valid');
}

/** @throws what a `resourceVersion` of a list that lies in the future deserves. */
export function checkListVersion(store: ObjectStore, text: string | null, match: string | null): void {
  if (text === null || text === '' || text === '0') return;
  const version = Number(text);
  if (!Number.isSafeInteger(version) || version < 0)
    throw badRequest(`Invalid value: ${JSON.stringify(text)}: resourceVersion`);
  if (version > store.revision) {
    throw new StatusError('Timeout', `Too large resource version: ${version}, current: ${store.revision}`, {
      causes: [
        { reason: 'FieldValueInvalid', field: 'resourceVersion', message: 'Too large resource version' },
      ],
      retryAfterSeconds: 1,
    });
  }
  if (match === 'Exact' && version !== store.revision) {
    throw new StatusError('Expired', `The provided resource version is no longer kept: ${version}`);
  }
}
