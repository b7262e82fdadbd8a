/** The operations on each resource, as far as clients look at them: the kind, the action, the query. Pure. */
import type { JsonObject } from '../json.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import type { Resource } from '../kinds/resource.ts';
import { gvkOf } from '../schema/openapi.ts';
import { subresourcesOf } from './discovery.ts';

interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly action: string;
  readonly query: readonly string[];
}

const LIST = [
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'timeoutSeconds',
  'watch',
];
const WRITE = ['dryRun', 'fieldManager', 'fieldValidation'];

const ON_COLLECTION: readonly Operation[] = [
  { method: 'get', action: 'list', query: LIST },
  { method: 'post', action: 'post', query: WRITE },
  { method: 'delete', action: 'deletecollection', query: [...LIST, 'dryRun'] },
];
const ON_OBJECT: readonly Operation[] = [
  { method: 'get', action: 'get', query: [] },
  { method: 'put', action: 'put', query: WRITE },
  { method: 'patch', action: 'patch', query: [...WRITE, 'force'] },
  { method: 'delete', action: 'delete', query: ['dryRun', 'gracePeriodSeconds', 'propagationPolicy'] },
];

/** A parameter of version 2 carries its type, one of version 3 a schema. */
export type ParameterStyle = 'v2' | 'v3';

export function pathsOf(
  registry: ResourceRegistry,
  style: ParameterStyle,
  only?: (resource: Resource) => boolean,
): JsonObject {
  const paths: JsonObject = {};
  for (const resource of registry.all().filter(only ?? (() => true))) {
    const root =
      resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
    const base = `${root}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`;
    const served = (operation: Operation) => resource.verbs.length > 1 || operation.method === 'post';
    paths[base] = item(
      resource,
      ON_COLLECTION.filter(served),
      style,
      resource.namespaced ? ['namespace'] : [],
    );
    if (resource.verbs.length <= 1) continue;
    const parameters = resource.namespaced ? ['name', 'namespace'] : ['name'];
    paths[`${base}/{name}`] = item(resource, ON_OBJECT, style, parameters);
    if (resource.namespaced)
      paths[`${root}/${resource.plural}`] = item(resource, ON_COLLECTION.slice(0, 1), style, []);
    if (subresourcesOf(resource).some(({ name }) => name === 'status')) {
      paths[`${base}/{name}/status`] = item(resource, ON_OBJECT.slice(0, 3), style, parameters);
    }
  }
  return paths;
}

function item(
  resource: Resource,
  operations: readonly Operation[],
  style: ParameterStyle,
  inPath: readonly string[],
): JsonObject {
  const parameter = (name: string, where: 'path' | 'query'): JsonObject => ({
    name,
    in: where,
    ...(where === 'path' && { required: true }),
    ...(style === 'v2' ? { type: 'string' } : { schema: { type: 'string' } }),
  });
  return {
    ...Object.fromEntries(
      operations.map(({ method, action, query }) => [
        method,
        {
          parameters: query.map((name) => parameter(name, 'query')),
          responses: { 200: { description: 'OK' } },
          'x-kubernetes-action': action,
          'x-kubernetes-group-version-kind': gvkOf(resource),
        },
      ]),
    ),
    parameters: inPath.map((name) => parameter(name, 'path')),
  };
}
