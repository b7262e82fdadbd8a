/** Changes to lists of header fields: each makes a new list, or gives the same one back when there is nothing to change. */
import type { HeaderFields } from '@ambit/http/header-fields';

/**
 * What only the mesh may say of a client. Applications take it for the mesh's word, so the client's own is never passed on,
 * whatever is said of it: as Envoy's SANITIZE.
 */
const OF_THE_MESH: ReadonlySet<string> = new Set(['x-forwarded-client-cert']);

/**
 * What proxies tell each other about themselves, and no application must see: Envoy's metadata exchange, and the operation
 * that Istio names for its own spans. And what a proxy says of a client's certificate: an application that believes it must
 * not hear it from the client.
 */
const PRIVATE: ReadonlySet<string> = new Set([
  'x-envoy-peer-metadata',
  'x-envoy-peer-metadata-id',
  'x-envoy-decorator-operation',
  'x-forwarded-client-cert',
]);

export function withoutPrivate(fields: HeaderFields): HeaderFields {
  return without(fields, PRIVATE);
}

/** A request's fields without what its client may not say. */
export function withoutForged(fields: HeaderFields): HeaderFields {
  return without(withoutPrivate(fields), OF_THE_MESH);
}

export function without(fields: HeaderFields, names: ReadonlySet<string>): HeaderFields {
  let isThere = false;
  for (let i = 0; i < fields.length; i += 2) if (names.has(fields[i] ?? '')) isThere = true;
  if (!isThere) return fields;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!names.has(name)) kept.push(name, fields[i + 1] ?? '');
  }
  return kept;
}

/** Each pair of `set` in place of all fields of its name. */
export function withFields(fields: HeaderFields, set: HeaderFields): HeaderFields {
  if (set.length === 0) return fields;
  const names = new Set<string>();
  for (let i = 0; i < set.length; i += 2) names.add(set[i] ?? '');
  return [...without(fields, names), ...set];
}

/** As the wire would have them, in HTTP/1.1: names, values, and what stands between. */
export function fieldBytes(fields: HeaderFields): number {
  let bytes = 0;
  for (const text of fields) bytes += text.length + 2;
  return bytes;
}
