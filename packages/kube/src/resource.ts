/** What a Kubernetes object looks like from outside, how its kind is addressed, and the keys that we give objects. */
import { KubeProtocolError } from './errors.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  /** Empty or absent for cluster-wide kinds. */
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
}

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** A kind: where the API server serves it. `T` is what its objects are; nothing checks that. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Versions that say the same, for servers that do not serve `version`; the best first. */
  readonly olderVersions?: readonly string[];
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never there: it carries the type. */
  readonly objects?: T;
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

export interface ObjectName {
  readonly name: string;
  readonly namespace?: string | undefined;
}

export interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/**
 * The path of a collection, an object or a subresource.
 *
 * @throws {@link KubeProtocolError} A part is no name, and would lead elsewhere: `..` to all that stands above.
 */
export function pathOf(resource: Resource, { namespace, name, subresource }: Place = {}): string {
  const root = resource.group === '' ? ['api', resource.version] : ['apis', resource.group, resource.version];
  const where = resource.namespaced && namespace ? ['namespaces', namespace] : [];
  const parts = [
    ...root,
    ...where,
    resource.plural,
    ...(name ? [name] : []),
    ...(subresource ? [subresource] : []),
  ];
  for (const part of parts)
    if (part === '.' || part === '..') throw new KubeProtocolError(`${JSON.stringify(part)} is no name`);
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

/**
 * As {@link pathOf}, of one object, which has a name: without it, to delete would be to delete all of its kind.
 *
 * @throws {@link KubeProtocolError}
 */
export function objectPathOf(resource: Resource, at: ObjectName & Pick<Place, 'subresource'>): string {
  if (at.name === '') throw new KubeProtocolError(`a ${resource.kind} without a name`);
  return pathOf(resource, at);
}

/** `namespace/name`, or the name alone for cluster-wide kinds: the key of an object in a collection. */
export function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace ? `${namespace}/${name}` : name;
}

/** Whether the object has been deleted, and waits for whoever has to clean up after it. */
export function isEnding({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** Whether `value` has what every object must have. */
export function isKubeObject(value: unknown): value is KubeObject {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return false;
  const { metadata } = value;
  return (
    typeof metadata === 'object' &&
    metadata !== null &&
    'name' in metadata &&
    typeof metadata.name === 'string'
  );
}
