/**
 * How this proxy speaks to its control plane and its CA: addresses, trust, tokens and who it says it is.
 *
 * What speaks gRPC is loaded only if there is somebody to speak to: it is a tenth of an idle proxy's memory.
 */
import type { Node } from '@ambit/api/discovery';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { FetchCertificate } from '@ambit/identity/certificate-store';
import { createFakeCa } from '@ambit/identity/fake-ca';
import type { ClientObserver, DeltaXdsClient } from '@ambit/xds/client';
import type { TypeHandler } from '@ambit/xds/client/type-state';
import type { Config, ServerAddress } from '../config.ts';

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

export async function xdsClient(
  config: Config,
  address: ServerAddress,
  deps: XdsDeps,
): Promise<DeltaXdsClient> {
  const { handlers, ...rest } = deps;
  const { controlPlaneChannel, readAuthorization, readRoots } = await import(
    '@ambit/identity/control-plane-tls'
  );
  const { DeltaXdsClient: Client } = await import('@ambit/xds/client');
  return new Client({
    address: address.authority,
    channel: async () =>
      address.tls
        ? controlPlaneChannel(address.authority, await readRoots(config.xdsRoot), config.altXdsHostname)
        : undefined,
    headers: async () => {
      const authorization = await readAuthorization(config.token);
      return {
        ...Object.fromEntries(config.xdsHeaders),
        clusterid: config.clusterId,
        ...(authorization === undefined ? {} : { authorization }),
      };
    },
    node: xdsNode(config),
    types: handlers,
    ...rest,
  });
}

/** Where certificates come from. */
export interface CertificateSource extends Disposable {
  readonly fetch: FetchCertificate;
}

export async function certificateSource(
  config: Config,
  clock: Clock,
  log: Logger,
): Promise<CertificateSource> {
  if (config.fakeCa) {
    log.warn('INSECURE: certificates come from a CA whose key everybody knows (FAKE_CA)');
    const authority = await createFakeCa({ clock });
    return {
      fetch: (identity) => authority.issueWorkload(identity, config.secretTtlMs),
      [Symbol.dispose]: () => undefined,
    };
  }
  const { CaClient } = await import('@ambit/identity/ca-client');
  return new CaClient({
    address: config.ca?.authority ?? '',
    root: config.caRoot,
    ...(config.altCaHostname === undefined ? {} : { alternativeHost: config.altCaHostname }),
    token: config.token,
    clusterId: config.clusterId,
    headers: Object.fromEntries(config.caHeaders),
    impersonate: config.mode === 'shared',
    ttlMs: config.secretTtlMs,
    clock,
    log,
  });
}
