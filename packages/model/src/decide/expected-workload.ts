/**
 * What a pod is taken for until mesh state says what it is: enough to choose where its own connections go, and to name it
 * in reports. Pure.
 *
 * Never used to admit a connection to the pod: the policies that select it are not known yet. What holds for a whole node
 * is taken from a neighbour, a pod of the same node that mesh state does know.
 */
import { formatIdentity, type LocalPod, type Workload } from '../workload.ts';

export function expectedWorkload(
  { name, namespace, serviceAccount, names }: LocalPod,
  { network, trustDomain, node, clusterId, locality }: Workload,
): Workload {
  return {
    uid: `${clusterId}//Pod/${namespace}/${name}`,
    name,
    namespace,
    addresses: [],
    network,
    protocol: 'HBONE',
    networkMode: 'Standard',
    trustDomain,
    serviceAccount,
    identity: formatIdentity({ trustDomain, namespace, serviceAccount }),
    waypoint: undefined,
    networkGateway: undefined,
    node,
    canonicalName: names?.canonicalName ?? name,
    canonicalRevision: names?.canonicalRevision ?? 'latest',
    workloadType: 'pod',
    workloadName: names?.workloadName ?? name,
    nativeTunnel: false,
    authorizationPolicies: [],
    status: 'Healthy',
    clusterId,
    hostname: '',
    services: [],
    applicationTunnel: undefined,
    locality,
    capacity: 1,
  };
}
