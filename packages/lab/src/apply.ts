/** Applies objects of any kind the server knows, as `kubectl apply --server-side` does. */
import { parseAllDocuments } from 'yaml';
import { MeshError } from '@ambit/core/errors';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { isKubeObject, type KubeObject, type Resource } from '@ambit/kube/resource';

const FIELD_MANAGER = 'ambit-lab';

/** Text that is not a list of Kubernetes objects. */
export class ManifestError extends MeshError {
  readonly code = 'MANIFEST';
  readonly side = 'downstream';
}

/** @throws {@link ManifestError} naming the document, from 1, that is none. */
export function parseManifests(yaml: string): readonly KubeObject[] {
  const objects: KubeObject[] = [];
  for (const [index, document] of parseAllDocuments(yaml).entries()) {
    const [error] = document.errors;
    if (error) throw new ManifestError(`document ${index + 1}: ${error.message}`);
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null || value === undefined) continue;
    if (!isKubeObject(value) || !value.apiVersion || !value.kind)
      throw new ManifestError(`document ${index + 1} has no apiVersion, kind or metadata.name`);
    objects.push(value);
  }
  return objects;
}

export async function applyAll(
  client: KubeClient,
  objects: readonly KubeObject[],
  signal: AbortSignal,
): Promise<void> {
  const kinds = new Kinds(client);
  for (const object of objects) {
    const resource = await kinds.resourceOf(object, signal);
    const namespace = resource.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
    const { name } = object.metadata;
    const options = { fieldManager: FIELD_MANAGER };
    await client.patch(
      resource,
      { name, namespace },
      { type: 'apply', body: object, force: true },
      options,
      signal,
    );
  }
}

/** What is not there is fine. */
export async function deleteAll(
  client: KubeClient,
  objects: readonly KubeObject[],
  signal: AbortSignal,
): Promise<void> {
  const kinds = new Kinds(client);
  for (const object of objects.toReversed()) {
    const resource = await kinds.resourceOf(object, signal);
    const namespace = resource.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
    await client
      .delete(resource, { name: object.metadata.name, namespace }, {}, signal)
      .catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
  }
}

interface Served {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** The server's own list of kinds, asked once per group and version. */
class Kinds {
  readonly #client: KubeClient;
  readonly #known = new Map<string, Promise<readonly Served[]>>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  async resourceOf({ apiVersion = '', kind = '' }: KubeObject, signal: AbortSignal): Promise<Resource> {
    const [version = '', group = ''] = apiVersion.split('/').reverse();
    const served = this.#known.get(apiVersion) ?? this.#ask(group, version, signal);
    this.#known.set(apiVersion, served);
    const found = (await served).find((one) => one.kind === kind && !one.name.includes('/'));
    if (!found) throw new ManifestError(`the server does not know ${kind} of ${apiVersion}`);
    return { group, version, kind, plural: found.name, namespaced: found.namespaced };
  }

  async #ask(group: string, version: string, signal: AbortSignal): Promise<readonly Served[]> {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    try {
      const answer = await this.#client.request({ method: 'GET', path }, signal);
      return (answer as { readonly resources?: readonly Served[] }).resources ?? [];
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }
}
