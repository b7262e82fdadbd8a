/** Who this waypoint says it is to its control plane, and the client that asks it. */
import type { Node } from '@ambit/api/discovery';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { controlPlaneAccess } from '@ambit/identity/control-plane-access';
import type { ServerAddress } from '@ambit/identity/control-plane-config';
import { Interner } from '@ambit/model/intern';
import type { MeshStore } from '@ambit/model/store';
import { applyXdsDelta } from '@ambit/model/xds-delta';
import { type ClientObserver, DeltaXdsClient } from '@ambit/xds/client';
import type { TypeHandler } from '@ambit/xds/client/type-state';
import type { Config } from '../config.ts';
import type { LocalNames } from '../telemetry/expression/attributes.ts';

export function xdsNode({ self, clusterId, clusterDomain, network, nodeName }: Config): Node {
  const domain = `${self.namespace}.svc.${clusterDomain}`;
  return {
    id: `waypoint~${self.ip}~${self.podName}.${self.namespace}~${domain}`,
    cluster: `${self.serviceAccount}.${self.namespace}`,
    metadata: {
      NAME: self.podName,
      NAMESPACE: self.namespace,
      SERVICE_ACCOUNT: self.serviceAccount,
      GATEWAY_NAME: self.gatewayName,
      INSTANCE_IPS: self.ip,
      NODE_NAME: nodeName,
      CLUSTER_ID: clusterId,
      NETWORK: network,
    },
  };
}

/** The same, as logs and expressions of users name it. */
export function localNames(config: Config): LocalNames {
  const { id, cluster, metadata } = xdsNode(config);
  const texts = Object.entries(metadata ?? {}).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name, value] as const] : [],
  );
  return {
    id,
    cluster,
    namespace: config.self.namespace,
    canonicalService: config.self.gatewayName,
    canonicalRevision: 'latest',
    meshId: config.trustDomain,
    clusterId: config.clusterId,
    ip: config.self.ip,
    metadata: Object.fromEntries(texts),
  };
}

/** Workloads and services, all of the mesh: any of them may be a client or a route's backend. */
export function addressHandler(mesh: MeshStore): TypeHandler {
  const interner = new Interner();
  return {
    typeUrl: ADDRESS_TYPE_URL,
    apply: (delta) => applyXdsDelta(mesh, ADDRESS_TYPE_URL, delta, interner),
  };
}

export interface XdsDeps {
  /** In the order in which to ask. */
  readonly handlers: readonly TypeHandler[];
  readonly observer: ClientObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export async function xdsClient(
  config: Config,
  address: ServerAddress,
  { handlers, ...rest }: XdsDeps,
): Promise<DeltaXdsClient> {
  const access = await controlPlaneAccess(config, address);
  return new DeltaXdsClient({
    address: address.authority,
    channel: () => access.channel(),
    headers: () => access.headers(),
    node: xdsNode(config),
    types: handlers,
    ...rest,
  });
}
