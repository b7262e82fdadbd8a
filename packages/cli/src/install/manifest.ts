/**
 * A manifest as objects: what an installation consists of, each with its kind and its component, in applying order.
 *
 * The text comes with this command, so what is wrong with it is a mistake of ours and says where.
 */
import { isKubeObject, type KubeObject, type Resource } from '@ambit/kube/resource';
import { parseAllDocuments } from 'yaml';
import { InstallError } from '../errors.ts';
import { type ComponentName, componentOf } from './components.ts';
import { orderOf, resourceOf } from './kinds.ts';

export interface Part {
  readonly resource: Resource;
  readonly component: ComponentName;
  readonly object: KubeObject;
}

/** @throws {@link InstallError} naming the document that is not an object of a known kind. */
export function readManifest(text: string): readonly KubeObject[] {
  const documents = parseAllDocuments(text);
  return ('empty' in documents ? [] : documents).flatMap((document, i): readonly KubeObject[] => {
    const problem = document.errors[0];
    if (problem) throw new InstallError(`document ${i + 1} of the manifests: ${problem.message}`);
    const value = document.toJS() as unknown;
    if (value === null || value === undefined) return [];
    if (!isKubeObject(value)) throw new InstallError(`document ${i + 1} of the manifests is not an object`);
    return [value];
  });
}

/** @throws {@link InstallError} if one is of a kind that has no place in the order. */
export function partsOf(objects: readonly KubeObject[]): readonly Part[] {
  return objects
    .map((object) => {
      const resource = resourceOf(object);
      if (!resource)
        throw new InstallError(
          `the manifests hold ${object.kind ?? 'an object'} ${object.metadata.name}, a kind that this command does not know`,
        );
      return { resource, component: componentOf(object), object };
    })
    .sort((a, b) => orderOf(a.resource) - orderOf(b.resource));
}

/** `Deployment istio-system/istiod`, as plans and messages name it. */
export function titleOf({ resource, object }: Pick<Part, 'resource' | 'object'>): string {
  const { namespace, name } = object.metadata;
  return `${resource.kind} ${resource.namespaced && namespace ? `${namespace}/` : ''}${name}`;
}
