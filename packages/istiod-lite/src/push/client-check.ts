/** Whether an authenticated xDS client is the node, and the waypoint, that it says it is. Pure. */
import { parseSpiffeId } from '@ambit/identity/spiffe-id';
import type { ClientNode } from '@ambit/xds/resource-feed';

/**
 * Why the client may not be served, or `undefined`. What waypoints are sent is for them alone: there are keys of tracing
 * providers in it, and what the policies of others say.
 *
 * @param isInstance - Whether the Gateway (`namespace/name`) is there and a pod of it runs as this service account of its namespace.
 */
export function nodeProblem(
  identity: string,
  node: ClientNode,
  isInstance: (gateway: string, account: string) => boolean,
): string | undefined {
  const proved = parseSpiffeId(identity);
  if (!proved) return 'authorization failed: no identity';
  const namespace = namespaceOf(node);
  if (namespace !== proved.namespace)
    return `authorization failed: ${identity} is not of namespace ${JSON.stringify(namespace)}`;
  const serviceAccount = node.metadata['SERVICE_ACCOUNT'];
  if (serviceAccount && serviceAccount !== proved.serviceAccount)
    return `authorization failed: ${identity} is not service account ${JSON.stringify(serviceAccount)}`;
  const waypoint = waypointOf(node);
  if (waypoint !== undefined && !isInstance(waypoint, proved.serviceAccount))
    return `authorization failed: no pod of Gateway ${JSON.stringify(waypoint)} runs as ${identity}`;
  return undefined;
}

/**
 * The waypoint that a client is a replica of, as `namespace/name` of its Gateway; `undefined` for other clients. It can
 * only be one of the namespace that {@link nodeProblem} has compared with the client's identity.
 */
export function waypointOf(node: ClientNode): string | undefined {
  const name = node.metadata['GATEWAY_NAME'];
  return name ? `${namespaceOf(node)}/${name}` : undefined;
}

function namespaceOf({ id, metadata }: ClientNode): string {
  // `ztunnel~10.0.0.1~pod.namespace~namespace.svc.cluster.local`
  const pod = id.split('~')[2] ?? '';
  return metadata['NAMESPACE'] || pod.slice(pod.lastIndexOf('.') + 1);
}
