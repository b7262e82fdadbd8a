/** Which resources are served now: the built-in ones, and those of the CRDs that are installed. */
import { BUILTIN } from './builtin.ts';
import { groupVersionOf, type Resource, storageKeyOf } from './resource.ts';

export class ResourceRegistry {
  readonly #byPath = new Map<string, Resource>();
  /** The versions of a CRD's resource, by the CRD's name. */
  readonly #custom = new Map<string, readonly Resource[]>();
  #generation = 0;

  constructor() {
    for (const resource of BUILTIN) this.#byPath.set(pathKey(resource), resource);
  }

  /** Grows with every change, so that what is derived (discovery, OpenAPI) can be kept until then. */
  get generation(): number {
    return this.#generation;
  }

  get(group: string, version: string, plural: string): Resource | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  byKind(apiVersion: string, kind: string): Resource | undefined {
    return this.all().find((resource) => resource.kind === kind && groupVersionOf(resource) === apiVersion);
  }

  /** Some version of the resource that is stored under `key`. */
  byStorageKey(key: string): Resource | undefined {
    return this.all().find((resource) => storageKeyOf(resource) === key);
  }

  all(): readonly Resource[] {
    return [...this.#byPath.values()];
  }

  hasGroup(group: string): boolean {
    return this.all().some((resource) => resource.group === group);
  }

  hasGroupVersion(group: string, version: string): boolean {
    return this.all().some((resource) => resource.group === group && resource.version === version);
  }

  /** Serves `resources` (the versions of one CRD) in place of what that CRD served before. */
  setCustom(crd: string, resources: readonly Resource[]): void {
    for (const old of this.#custom.get(crd) ?? []) this.#byPath.delete(pathKey(old));
    if (resources.length === 0) this.#custom.delete(crd);
    else this.#custom.set(crd, resources);
    for (const resource of resources) this.#byPath.set(pathKey(resource), resource);
    this.#generation += 1;
  }
}

const pathKey = ({ group, version, plural }: Resource): string => `${group}/${version}/${plural}`;
