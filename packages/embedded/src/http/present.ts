/** In which form a client wants objects: as they are, as rows of a table, or their metadata alone. Pure. */
import { asVersion } from '../admission/custom-resource-definition.ts';
import type { JsonObject } from '../json.ts';
import { groupVersionOf, type Resource } from '../kinds/resource.ts';
import { metadataOf, metadataOnly } from '../object.ts';
import { tableOf } from './table.ts';

export type Form = 'object' | 'table' | 'metadata';

export interface Presentation {
  readonly form: Form;
  /** `v1` or `v1beta1` of meta.k8s.io. */
  readonly version: string;
  /** For tables: how much of each object goes along. */
  readonly include: 'None' | 'Metadata' | 'Object';
}

const AS_IS: Presentation = { form: 'object', version: 'v1', include: 'Metadata' };

/** The first form in `accept` that is known. */
export function presentationOf(accept: string, query: URLSearchParams): Presentation {
  for (const part of accept.split(',')) {
    const parameters = part.split(';').map((piece) => piece.trim());
    if (parameters[0] !== 'application/json' && parameters[0] !== '*/*') continue;
    const as = parameters.find((piece) => piece.startsWith('as='))?.slice(3);
    if (as === undefined) return AS_IS;
    const version = parameters.find((piece) => piece.startsWith('v='))?.slice(2) ?? 'v1';
    if (!parameters.includes('g=meta.k8s.io')) continue;
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { ...AS_IS, form: 'metadata', version };
    if (as !== 'Table') continue;
    const include = query.get('includeObject');
    return {
      form: 'table',
      version,
      include: include === 'None' || include === 'Object' ? include : 'Metadata',
    };
  }
  return AS_IS;
}

export function presentOne(
  resource: Resource,
  object: JsonObject,
  { form, version, include }: Presentation,
  nowMs: number,
): JsonObject {
  const own = asVersion(object, groupVersionOf(resource));
  if (form === 'object') return own;
  if (form === 'metadata') return metadataOnly(own, version);
  const { resourceVersion = '' } = metadataOf(own);
  return tableOf(resource, [own], { resourceVersion }, { version, include, nowMs });
}

export function presentList(
  resource: Resource,
  objects: readonly JsonObject[],
  metadata: JsonObject,
  { form, version, include }: Presentation,
  nowMs: number,
): JsonObject {
  const own = objects.map((object) => asVersion(object, groupVersionOf(resource)));
  if (form === 'table') return tableOf(resource, own, metadata, { version, include, nowMs });
  if (form === 'metadata') {
    const items = own.map((object) => metadataOnly(object, version));
    return { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${version}`, metadata, items };
  }
  return { kind: `${resource.kind}List`, apiVersion: groupVersionOf(resource), metadata, items: [...own] };
}
