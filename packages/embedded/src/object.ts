/** Reading the parts of an object that every Kubernetes object has. Nothing here changes one. */
import { at, isObject, type JsonObject, listAt, objectAt, textAt } from './json.ts';

export interface OwnerReference {
  readonly uid: string;
  readonly kind: string;
  readonly name: string;
  readonly apiVersion: string;
  readonly blockOwnerDeletion: boolean;
  readonly controller: boolean;
}

export const nameOf = (object: JsonObject): string => textAt(object, 'metadata', 'name') ?? '';
export const namespaceOf = (object: JsonObject): string => textAt(object, 'metadata', 'namespace') ?? '';
export const uidOf = (object: JsonObject): string => textAt(object, 'metadata', 'uid') ?? '';
export const kindOf = (object: JsonObject): string => textAt(object, 'kind') ?? '';
export const apiVersionOf = (object: JsonObject): string => textAt(object, 'apiVersion') ?? '';
export const metadataOf = (object: JsonObject): JsonObject => objectAt(object, 'metadata');

/** 0 when the object names none, or none that is a number. */
export function revisionOf(object: JsonObject): number {
  const number = Number(textAt(object, 'metadata', 'resourceVersion') ?? '0');
  return Number.isSafeInteger(number) && number > 0 ? number : 0;
}

export function labelsOf(object: JsonObject): Readonly<Record<string, string>> {
  return textMap(objectAt(object, 'metadata', 'labels'));
}

export const isTerminating = (object: JsonObject): boolean =>
  textAt(object, 'metadata', 'deletionTimestamp') !== undefined;

export function finalizersOf(object: JsonObject): readonly string[] {
  return listAt(object, 'metadata', 'finalizers').filter((item) => typeof item === 'string');
}

export function ownersOf(object: JsonObject): readonly OwnerReference[] {
  return listAt(object, 'metadata', 'ownerReferences')
    .filter(isObject)
    .map((owner) => ({
      uid: textAt(owner, 'uid') ?? '',
      kind: textAt(owner, 'kind') ?? '',
      name: textAt(owner, 'name') ?? '',
      apiVersion: textAt(owner, 'apiVersion') ?? '',
      blockOwnerDeletion: at(owner, 'blockOwnerDeletion') === true,
      controller: at(owner, 'controller') === true,
    }));
}

function textMap(object: JsonObject): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [key, value] of Object.entries(object)) if (typeof value === 'string') texts[key] = value;
  return texts;
}

/** `2026-01-31T12:00:00Z`: Kubernetes' time, whole seconds. */
export const timestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** `object` for those who want only its metadata. */
export const metadataOnly = (object: JsonObject, version: string): JsonObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: `meta.k8s.io/${version}`,
  metadata: metadataOf(object),
});
