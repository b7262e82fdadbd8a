/** The OpenAPI version 3 document of one group version, with the types that its kinds are made of. Pure. */
import type { JsonObject } from '../json.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import {
  builtinDefinitions,
  customDefinition,
  listDefinition,
  OBJECT_META,
  typesWithin,
} from '../schema/openapi.ts';
import { pathsOf } from './openapi-paths.ts';

const PREFIX = '#/components/schemas/';
const LIST_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta';

export function openApiV3(registry: ResourceRegistry, group: string, version: string): JsonObject {
  const resources = registry
    .all()
    .filter((resource) => resource.group === group && resource.version === version);
  const builtin = builtinDefinitions(PREFIX, resources);
  const names = new Set([OBJECT_META, LIST_META, ...resources.map(({ schemaName }) => schemaName)]);
  const schemas: JsonObject = {};
  for (const name of names) {
    for (const type of typesWithin(name)) schemas[type] = builtin[type] ?? {};
  }
  for (const resource of resources) {
    if (resource.custom) schemas[resource.schemaName] = customDefinition(resource, PREFIX);
    if (resource.verbs.length > 1) schemas[`${resource.schemaName}List`] = listDefinition(resource, PREFIX);
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Ambit embedded API', version: 'v1' },
    paths: pathsOf(registry, 'v3', (resource) => resource.group === group && resource.version === version),
    components: { schemas },
  };
}
