/** What a name was probably meant to be, out of what exists in the cluster. */
import type { KubeClient } from '@ambit/kube/client';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { didYouMean } from './did-you-mean.ts';

/**
 * As {@link didYouMean}; nothing where the names may not be listed: it only ends a sentence that is true without it.
 *
 * @param namespace - `undefined` for resources that are in none.
 */
export async function similarOf(
  given: string,
  client: KubeClient,
  resource: Resource<KubeObject>,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  return didYouMean(given, await namesIn(client, resource, namespace, signal));
}

/** Of all objects in their order; none where they may not be listed. */
export async function namesIn(
  client: KubeClient,
  resource: Resource<KubeObject>,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    const { items } = await client.list(resource, { namespace }, signal);
    return items.map(({ metadata }) => metadata.name);
  } catch {
    signal.throwIfAborted();
    return [];
  }
}
