/** What the API knows about one resource: the same for built-in ones and for those that a CRD defines. */
import type { StatusSubject } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { Schema } from '../schema/schema.ts';

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

/** A column of `kubectl get`. `path` is a JSONPath, as in a CRD; built-in kinds compute theirs in http/columns. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly description: string;
  readonly priority: number;
  readonly path: string;
}

export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly Verb[];
  /** Written apart from the rest, at `/status`; a write to the object itself leaves the status as it was. */
  readonly hasStatus: boolean;
  /** Whether `/scale` is served, and where it reads. */
  readonly scale?: { readonly spec: string; readonly status: string; readonly selector?: string };
  /** `metadata.generation` counts changes of anything but metadata and status. */
  readonly hasGeneration: boolean;
  /** Custom resources are stored as their schema says; built-in ones also get defaults in code. */
  readonly custom: boolean;
  /** Kubernetes answers the deleted object for a few kinds, a Status for the rest. */
  readonly answersDeleted: boolean;
  readonly schema: Schema;
  /** Of a custom resource: its schema as the CRD has it, for OpenAPI. */
  readonly source?: JsonObject;
  /** The OpenAPI name of the schema. */
  readonly schemaName: string;
  readonly columns: readonly PrinterColumn[];
}

/** Objects of all versions of a resource are stored together under this. */
export type StorageKey = string;

export const storageKeyOf = (resource: Pick<Resource, 'group' | 'plural'>): StorageKey =>
  resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;

export const groupVersionOf = (resource: Pick<Resource, 'group' | 'version'>): string =>
  resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;

/** How messages name an object of this resource: by its plural. */
export const subjectOf = (resource: Resource, name?: string): StatusSubject => ({
  group: resource.group,
  kind: resource.plural,
  ...(name !== undefined && { name }),
});

/** How "is invalid" names it: by its kind. */
export const kindSubjectOf = (resource: Resource, name?: string): StatusSubject => ({
  group: resource.group,
  kind: resource.kind,
  ...(name !== undefined && { name }),
});
