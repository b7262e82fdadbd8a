/**
 * Writes the part of a status that one field manager owns, by server-side apply: as a set, which removes what that manager
 * wrote before and writes no longer, and leaves alone what others wrote.
 */
import type { KubeClient } from '@ambit/kube/client';
import { apiVersionOf, type KubeObject, type Resource } from '@ambit/kube/resource';

export interface StatusManager<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly fieldManager: string;
}

/** @throws {@link KubeStatusError} Not written; also if another object of the same name has come meanwhile. */
export async function applyStatus<T extends KubeObject>(
  { client, resource, fieldManager }: StatusManager<T>,
  { metadata: { name, namespace, uid } }: T,
  status: unknown,
  signal: AbortSignal,
): Promise<void> {
  const body = {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    // The uid: never the status of one upon another of the same name.
    metadata: { name, namespace, uid },
    status,
  };
  const patch = { type: 'apply', body, force: true } as const;
  await client.patch(resource, { name, namespace }, patch, { fieldManager, subresource: 'status' }, signal);
}
