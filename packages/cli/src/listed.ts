/** Objects of a kind that the cluster may not know, and the user may not see: then there are none. */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import type { Context } from './context.ts';

/** @param namespace - `undefined`: of all. @param unseen - Gets the kind if it may not be listed. */
export async function listed<T extends KubeObject>(
  { client, signal }: Pick<Context, 'client' | 'signal'>,
  resource: Resource<T>,
  namespace: string | undefined,
  unseen: string[],
): Promise<readonly T[]> {
  try {
    return (await client.list(resource, { namespace }, signal)).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    if (statusOf(error) !== 403) throw error;
    unseen.push(resource.plural);
    return [];
  }
}
