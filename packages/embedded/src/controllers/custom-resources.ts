/** Serves what stored CRDs define, as they come and go; the objects of a CRD that is deleted go with it. */
import { resourcesOfCrd } from '../admission/custom-resource-definition.ts';
import { equal, type JsonObject } from '../json.ts';
import { nameOf } from '../object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import type { ObjectStore } from '../storage/store.ts';

const STORAGE = 'customresourcedefinitions.apiextensions.k8s.io';

/** @param removed - Told of a resource that is served no more, once its objects are gone. */
export function serveCustomResources(
  store: ObjectStore,
  registry: ResourceRegistry,
  removed: (which: (resource: Resource) => boolean) => void,
): Disposable {
  const serve = (crd: JsonObject) => registry.setCustom(nameOf(crd), resourcesOfCrd(crd));
  for (const crd of store.list(STORAGE)) serve(crd);
  return store.subscribe(({ resource, type, object, previous }) => {
    if (resource !== STORAGE) return;
    if (type !== 'deleted') {
      // Only its specification counts; a status or a label changes nothing of what is served.
      if (!equal(previous?.['spec'], object['spec'])) serve(object);
      return;
    }
    registry.setCustom(nameOf(object), []);
    const { group, plural } = { group: specText(object, 'group'), plural: pluralOf(object) };
    removed((each) => each.group === group && each.plural === plural);
    // A listener must not write; the objects that are left over go right after.
    queueMicrotask(() => {
      const key = nameOf(object);
      for (const left of store.list(key)) {
        const namespace = (left['metadata'] as JsonObject)['namespace'];
        store.remove(
          key,
          typeof namespace === 'string' && namespace !== '' ? `${namespace}/${nameOf(left)}` : nameOf(left),
        );
      }
    });
  });
}

function specText(crd: JsonObject, field: string): string {
  const spec = crd['spec'] as JsonObject | undefined;
  return String(spec?.[field] ?? '');
}

const pluralOf = (crd: JsonObject): string => nameOf(crd).slice(0, nameOf(crd).indexOf('.'));
