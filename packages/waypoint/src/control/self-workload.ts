/** This waypoint as a client of services: what the control plane says of its pod, or what its environment does. */
import { baggageOfWorkload } from '@ambit/hbone/baggage';
import type { MeshStore } from '@ambit/model/store';
import type { Workload } from '@ambit/model/workload';
import type { Config } from '../config.ts';

export function selfWorkload(mesh: MeshStore, config: Config): () => Workload {
  const { self, network, nodeName, clusterId, trustDomain } = config;
  const assumed: Workload = {
    uid: self.workloadUid,
    name: self.podName,
    namespace: self.namespace,
    addresses: [self.ip],
    network,
    protocol: 'HBONE',
    networkMode: 'Standard',
    trustDomain,
    serviceAccount: self.serviceAccount,
    identity: self.identity,
    waypoint: undefined,
    networkGateway: undefined,
    node: nodeName,
    canonicalName: self.gatewayName,
    canonicalRevision: 'latest',
    workloadType: 'pod',
    workloadName: self.gatewayName,
    nativeTunnel: true,
    authorizationPolicies: [],
    status: 'Healthy',
    clusterId,
    hostname: '',
    services: [],
    applicationTunnel: undefined,
    locality: { region: '', zone: '', subzone: '' },
    capacity: 1,
  };
  return () => mesh.workloadByUid(self.workloadUid) ?? assumed;
}

/** What it says of itself to other proxies. */
export function ownBaggage(self: () => Workload): () => string {
  let told: { readonly of: Workload; readonly text: string } | undefined;
  return () => {
    const workload = self();
    if (told?.of !== workload) told = { of: workload, text: baggageOfWorkload(workload) };
    return told.text;
  };
}
