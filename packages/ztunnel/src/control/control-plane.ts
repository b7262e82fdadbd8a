/** Who this proxy says it is to its control plane, and the client that asks it. */
import type { Node } from '@ambit/api/discovery';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { controlPlaneAccess } from '@ambit/identity/control-plane-access';
import type { ServerAddress } from '@ambit/identity/control-plane-config';
import type { ClientObserver, DeltaXdsClient } from '@ambit/xds/client';
import type { TypeHandler } from '@ambit/xds/client/type-state';
import type { Config } from '../config.ts';

export function xdsNode(config: Config): Node {
  const { instanceIp, podName = '', podNamespace = '', nodeName } = config;
  return {
    id: `ztunnel~${instanceIp}~${podName}.${podNamespace}~${podNamespace}.svc.cluster.local`,
    cluster: '',
    metadata: {
      NAME: podName,
      NAMESPACE: podNamespace,
      INSTANCE_IPS: instanceIp,
      ...(nodeName === undefined ? {} : { NODE_NAME: nodeName }),
      ...config.proxyMetadata,
      ...config.jsonMetadata,
    },
  };
}

export interface XdsDeps {
  readonly handlers: readonly TypeHandler[];
  readonly observer: ClientObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Loads gRPC only now: a proxy without a control plane does without. */
export async function xdsClient(
  config: Config,
  address: ServerAddress,
  deps: XdsDeps,
): Promise<DeltaXdsClient> {
  const { handlers, ...rest } = deps;
  const { DeltaXdsClient: Client } = await import('@ambit/xds/client');
  const access = await controlPlaneAccess(config, address);
  return new Client({
    address: address.authority,
    channel: () => access.channel(),
    headers: () => access.headers(),
    node: xdsNode(config),
    types: handlers,
    ...rest,
  });
}
