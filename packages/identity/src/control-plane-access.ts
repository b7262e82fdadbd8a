/**
 * How a proxy speaks to its control plane and its CA, from what it was told: trust and token anew for each connection, and
 * certificates from the CA, or from one that everybody knows.
 *
 * What speaks gRPC is loaded only if there is somebody to speak to: it is a tenth of an idle proxy's memory.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { Infer } from '@ambit/core/config/schema';
import type { Logger } from '@ambit/core/log';
import type { FetchCertificate } from './certificate-store.ts';
import type { ControlPlaneConfig, controlPlaneVariables, ServerAddress } from './control-plane-config.ts';
import type { ControlPlaneChannel } from './control-plane-tls.ts';
import { createFakeCa } from './fake-ca.ts';

export type AccessConfig = ControlPlaneConfig & Infer<typeof controlPlaneVariables>;

/** What an xDS client needs to reach the control plane, besides the address. */
export interface ControlPlaneAccess {
  /** @throws {@link CertificateError} when there is no root. */
  channel(): Promise<ControlPlaneChannel | undefined>;
  /** @throws {@link CertificateError} when there should be a token and is none. */
  headers(): Promise<Readonly<Record<string, string>>>;
}

export async function controlPlaneAccess(
  config: AccessConfig,
  address: ServerAddress,
): Promise<ControlPlaneAccess> {
  const { controlPlaneChannel, readAuthorization, readRoots } = await import('./control-plane-tls.ts');
  return {
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
  };
}

/** Where certificates come from. */
export interface CertificateSource extends Disposable {
  readonly fetch: FetchCertificate;
  /** Certificates will be asked for: what can be there before is there then. */
  connectAhead(): void;
}

export interface CertificateSourceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called when the CA can be reached, first or again, if `connectAhead` was called. */
  readonly onConnected?: () => void;
}

/** @param impersonate - Whether to ask for certificates of others than whom the token proves. */
export async function certificateSource(
  config: AccessConfig,
  impersonate: boolean,
  deps: CertificateSourceDeps,
): Promise<CertificateSource> {
  if (config.fakeCa) {
    deps.log.warn('INSECURE: certificates come from a CA whose key everybody knows (FAKE_CA)');
    const authority = await createFakeCa({ clock: deps.clock });
    return {
      fetch: (identity) => authority.issueWorkload(identity, config.secretTtlMs),
      connectAhead: () => undefined,
      [Symbol.dispose]: () => undefined,
    };
  }
  const { CaClient } = await import('./ca-client.ts');
  return new CaClient({
    address: config.ca?.authority ?? '',
    root: config.caRoot,
    ...(config.altCaHostname === undefined ? {} : { alternativeHost: config.altCaHostname }),
    token: config.token,
    clusterId: config.clusterId,
    headers: Object.fromEntries(config.caHeaders),
    impersonate,
    ttlMs: config.secretTtlMs,
    ...deps,
  });
}
