/** Whether an authenticated xDS client is the node that it says it is. Pure. */
import { parseSpiffeId } from '@ambit/identity/spiffe-id';
import type { ClientNode } from '@ambit/xds/resource-feed';

/** Why the client may not be served, or `undefined`. */
export function nodeProblem(identity: string, { id, metadata }: ClientNode): string | undefined {
  const proved = parseSpiffeId(identity);
  if (!proved) return 'authorization failed: no identity';
  // `ztunnel~10.0.0.1~pod.namespace~namespace.svc.cluster.local`
  const pod = id.split('~')[2] ?? '';
  const namespace = metadata['NAMESPACE'] || pod.slice(pod.lastIndexOf('.') + 1);
  if (namespace !== proved.namespace)
    return `authorization failed: ${identity} is not of namespace ${JSON.stringify(namespace)}`;
  const serviceAccount = metadata['SERVICE_ACCOUNT'];
  if (serviceAccount && serviceAccount !== proved.serviceAccount)
    return `authorization failed: ${identity} is not service account ${JSON.stringify(serviceAccount)}`;
  return undefined;
}
