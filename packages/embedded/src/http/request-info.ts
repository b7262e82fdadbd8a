/** What a request's path and query ask for. Pure. */
import { badRequest, notFound } from '../errors.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import type { Resource } from '../kinds/resource.ts';

export interface ResourceRequest {
  readonly kind: 'resource';
  readonly resource: Resource;
  /** Empty for the whole cluster, and for resources that are in no namespace. */
  readonly namespace: string;
  /** Empty for the collection. */
  readonly name: string;
  readonly subresource: string;
  /** What follows the subresource: `proxy/…`. */
  readonly rest: string;
}

export interface PathRequest {
  readonly kind: 'path';
  readonly path: string;
}

export type RequestInfo = ResourceRequest | PathRequest;

/** @throws a 404 for a resource that nobody serves; a 400 for a path that cannot be read. */
export function requestInfo(registry: ResourceRegistry, path: string): RequestInfo {
  let segments: readonly string[];
  try {
    segments = path
      .split('/')
      .filter((segment) => segment !== '')
      .map(decodeURIComponent);
  } catch {
    throw badRequest(`unreadable path: ${path}`);
  }
  const root = segments[0];
  const below = root === 'api' ? 2 : 3;
  if ((root !== 'api' && root !== 'apis') || segments.length <= below) return { kind: 'path', path };
  const group = root === 'api' ? '' : (segments[1] ?? '');
  const version = (root === 'api' ? segments[1] : segments[2]) ?? '';
  return resourceRequest(registry, group, version, segments.slice(below));
}

function resourceRequest(
  registry: ResourceRegistry,
  group: string,
  version: string,
  parts: readonly string[],
): ResourceRequest {
  // `namespaces/x` and its own subresources mean the namespace; with more behind it, what is in it.
  const own = ['status', 'finalize'];
  const inNamespace =
    parts[0] === 'namespaces' && parts.length >= 3 && !(group === '' && own.includes(parts[2] ?? ''));
  const [plural = '', name = '', subresource = '', ...rest] = inNamespace ? parts.slice(2) : parts;
  const resource = registry.get(group, version, plural);
  if (!resource || (inNamespace && !resource.namespaced)) {
    throw notFound({ group: '', kind: 'the server could not find the requested resource' });
  }
  return {
    kind: 'resource',
    resource,
    namespace: inNamespace ? (parts[1] ?? '') : '',
    name,
    subresource,
    rest: rest.join('/'),
  };
}

/** The verb that roles speak of. */
export function verbOf(method: string, info: RequestInfo, query: URLSearchParams): string {
  if (info.kind === 'path') return method.toLowerCase();
  const collection = info.name === '';
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isTrue(query.get('watch'))) return 'watch';
      return collection ? 'list' : 'get';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return collection ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}

export const isTrue = (text: string | null): boolean => text === 'true' || text === '1';
