/** The life of namespaces: what each one gets, and what goes before it goes. */
import { SYSTEM } from '../access/user.ts';
import { StatusError } from '../errors.ts';
import { clone, equal, type Json, type JsonObject, objectAt } from '../json.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';
import { isTerminating, nameOf, namespaceOf } from '../object.ts';
import type { Context, WriteOptions } from '../objects/context.ts';
import { createObject } from '../objects/create.ts';
import { deleteObject } from '../objects/delete.ts';
import { updateObject } from '../objects/update.ts';
import { WorkQueue } from './work-queue.ts';

const ROOT_CA = 'kube-root-ca.crt';

/** How controllers write. */
export const systemOptions = (): WriteOptions => ({
  user: SYSTEM,
  dryRun: false,
  fieldManager: 'kube-controller-manager',
  fieldValidation: 'Ignore',
  warnings: [],
});

export class NamespaceController implements Disposable {
  readonly #context: Context;
  readonly #caPem: string;
  readonly #queue: WorkQueue;
  readonly #subscription: Disposable;

  constructor(context: Context, caPem: string) {
    this.#context = context;
    this.#caPem = caPem;
    const { clock, random, log } = context;
    this.#queue = new WorkQueue((name) => this.#sync(name), clock, random, log.scope('namespaces'));
    this.#subscription = context.store.subscribe(({ resource, object, type }) => {
      if (resource === 'namespaces') this.#queue.add(nameOf(object));
      else if (type === 'deleted' && namespaceOf(object) !== '') this.#queue.add(namespaceOf(object));
    });
    for (const namespace of context.store.list('namespaces')) this.#queue.add(nameOf(namespace));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#queue.stop();
  }

  async #sync(name: string): Promise<void> {
    const namespace = this.#context.store.get('namespaces', name);
    if (!namespace) return;
    if (isTerminating(namespace)) await this.#empty(name, namespace);
    else await this.#furnish(name);
  }

  /** The service account and the CA certificate that pods of every namespace count on. */
  async #furnish(name: string): Promise<void> {
    const { store, registry } = this.#context;
    const make = async (plural: string, body: JsonObject) => {
      const resource = registry.get('', 'v1', plural);
      if (!resource || store.get(plural, `${name}/${nameOf(body)}`)) return;
      await createObject(this.#context, resource, name, body, systemOptions()).catch(
        unless('AlreadyExists', 'NotFound'),
      );
    };
    await make('serviceaccounts', { metadata: { name: 'default' } });
    const data: Json = { 'ca.crt': this.#caPem };
    await make('configmaps', { metadata: { name: ROOT_CA }, data });
    const resource = registry.get('', 'v1', 'configmaps');
    const current = store.get('configmaps', `${name}/${ROOT_CA}`);
    if (!resource || !current || equal(objectAt(current, 'data'), data)) return;
    await updateObject(
      this.#context,
      {
        resource,
        namespace: name,
        name: ROOT_CA,
        subresource: '',
        pinned: false,
        change: (stored) => ({ ...clone(stored), data: clone(data) }),
      },
      systemOptions(),
    );
  }

  /** Deletes everything inside; what waits for others (a kubelet, a finalizer) keeps the namespace alive. */
  async #empty(name: string, namespace: JsonObject): Promise<void> {
    const { store } = this.#context;
    let left = 0;
    for (const resource of this.#namespaced()) {
      for (const object of store.list(storageKeyOf(resource), name)) {
        if (!isTerminating(object)) await this.#delete(resource, name, nameOf(object));
        if (store.get(storageKeyOf(resource), `${name}/${nameOf(object)}`)) left += 1;
      }
    }
    if (left > 0) return;
    const resource = this.#context.registry.get('', 'v1', 'namespaces');
    const finalizers = objectAt(namespace, 'spec')['finalizers'];
    if (!resource || !Array.isArray(finalizers)) return;
    await updateObject(
      this.#context,
      {
        resource,
        namespace: '',
        name,
        subresource: 'internal',
        pinned: false,
        change: (stored) => {
          const { finalizers: listed, ...spec } = objectAt(stored, 'spec');
          const others = Array.isArray(listed) ? listed.filter((each) => each !== 'kubernetes') : [];
          return {
            ...clone(stored),
            spec: clone(others.length > 0 ? { ...spec, finalizers: others } : spec),
          };
        },
      },
      systemOptions(),
    ).catch(unless('NotFound'));
  }

  /** One version of each resource that lives in namespaces and has objects. */
  #namespaced(): readonly Resource[] {
    return this.#context.store.resources().flatMap((key) => {
      const resource = this.#context.registry.byStorageKey(key);
      return resource?.namespaced ? [resource] : [];
    });
  }

  async #delete(resource: Resource, namespace: string, name: string): Promise<void> {
    await deleteObject(
      this.#context,
      resource,
      namespace,
      name,
      { propagation: 'Background' },
      systemOptions(),
    ).catch(unless('NotFound'));
  }
}

/** Swallows failures that only say that somebody else was faster. */
export function unless(...reasons: readonly string[]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof StatusError) || !reasons.includes(error.reason)) throw error;
  };
}
