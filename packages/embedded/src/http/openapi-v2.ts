/** The OpenAPI version 2 document: all resources in one. Pure. */
import type { JsonObject } from '../json.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import { builtinDefinitions, customDefinition, listDefinition } from '../schema/openapi.ts';
import { pathsOf } from './openapi-paths.ts';

const PREFIX = '#/definitions/';

export function openApiV2(registry: ResourceRegistry): JsonObject {
  const resources = registry.all();
  const definitions = builtinDefinitions(PREFIX, resources);
  for (const resource of resources) {
    if (resource.custom) definitions[resource.schemaName] = customDefinition(resource, PREFIX);
    if (resource.verbs.length > 1)
      definitions[`${resource.schemaName}List`] = listDefinition(resource, PREFIX);
  }
  return {
    swagger: '2.0',
    info: { title: 'Ambit embedded API', version: 'v1' },
    paths: pathsOf(registry, 'v2'),
    definitions,
  };
}
