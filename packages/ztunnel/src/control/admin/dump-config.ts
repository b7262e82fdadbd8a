/**
 * `config` of `/config_dump`: Istio's names and encodings. Where the configuration came from, and every credential, is
 * left out. What only Istio's own libraries have is null.
 */
import { isSecretName } from '@ambit/core/secret-names';
import type { ServerAddress } from '@ambit/identity/control-plane-config';
import { type Config, PORTS } from '../../config.ts';
import type { RootSource } from '@ambit/identity/control-plane-tls';

const HIDDEN = '(hidden)';

export function dumpConfig(config: Config, args: readonly string[]): Readonly<Record<string, unknown>> {
  const localhost = (port: number) => ({ Localhost: [config.ipv6, port] });
  const wildcard = (port: number) => `${config.ipv6 ? '[::]' : '0.0.0.0'}:${port}`;
  const { dnsAddress } = config;
  return {
    proxy: config.proxyEnabled,
    dnsProxy: config.dns,
    windowSize: config.streamWindowBytes,
    connectionWindowSize: config.connectionWindowBytes,
    frameSize: config.frameBytes,
    poolMaxStreamsPerConn: config.poolMaxStreams,
    poolUnusedReleaseTimeout: duration(config.poolUnusedReleaseMs),
    socks5Addr: config.socks5 ? `127.0.0.1:${PORTS.socks5}` : null,
    adminAddr: localhost(config.adminPort),
    statsAddr: { SocketAddr: wildcard(config.statsPort) },
    readinessAddr: { SocketAddr: wildcard(PORTS.readiness) },
    inboundAddr: wildcard(PORTS.inbound),
    inboundPlaintextAddr: wildcard(PORTS.inboundPlaintext),
    outboundAddr: wildcard(PORTS.outbound),
    dnsProxyAddr:
      dnsAddress.kind === 'localhost'
        ? localhost(dnsAddress.port)
        : {
            SocketAddr: `${dnsAddress.ip.includes(':') ? `[${dnsAddress.ip}]` : dnsAddress.ip}:${dnsAddress.port}`,
          },
    illegalPorts: [...config.illegalPorts].sort((a, b) => a - b),
    network: config.network,
    localNode: config.nodeName ?? null,
    proxyMode: config.mode === 'shared' ? 'Shared' : 'Dedicated',
    proxyWorkloadInformation: config.workloadInfo ?? null,
    clusterId: config.clusterId,
    clusterDomain: config.clusterDomain,
    caAddress: uriOf(config.ca),
    caRootCert: rootOf(config.caRoot),
    altCaHostname: config.altCaHostname ?? null,
    xdsAddress: uriOf(config.xds),
    xdsRootCert: rootOf(config.xdsRoot),
    altXdsHostname: config.altXdsHostname ?? null,
    preferedServiceNamespace: config.preferredServiceNamespace ?? null,
    secretTtl: duration(config.secretTtlMs),
    xdsOnDemand: config.onDemand,
    fakeCa: config.fakeCa,
    fakeSelfInbound: false,
    selfTerminationDeadline: duration(config.terminationDeadlineMs),
    proxyMetadata: Object.fromEntries(
      Object.entries(config.proxyMetadata).map(([name, value]) => [
        name,
        isSecretName(name) ? HIDDEN : value,
      ]),
    ),
    numWorkerThreads: config.workers,
    requireOriginalSource: config.requireOriginalSource ?? null,
    proxyArgs: args.join(' '),
    dnsResolverCfg: null,
    dnsResolverOpts: null,
    inpodUds: config.agentSocket,
    inpodPortReuse: config.portReuse,
    packetMark: config.packetMark ?? null,
    socketConfig: {
      keepaliveTime: duration(config.keepaliveTimeMs),
      keepaliveInterval: duration(config.keepaliveIntervalMs),
      keepaliveRetries: config.keepaliveRetries,
      keepaliveEnabled: config.keepaliveEnabled,
      userTimeoutEnabled: config.userTimeoutEnabled,
    },
    // Values may be credentials; names say enough.
    xdsHeaders: config.xdsHeaders.map(([name]) => [name, HIDDEN]),
    caHeaders: config.caHeaders.map(([name]) => [name, HIDDEN]),
    localhostAppTunnel: config.localhostApplicationTunnel,
    ztunnelIdentity: config.self ? identityOf(config, config.self) : null,
    ztunnelWorkload: config.self ?? null,
    ipv6Enabled: config.ipv6,
    crlPath: config.crlPath ?? null,
    enableEnhancedBaggage: config.responseBaggage,
  };
}

function identityOf(
  { trustDomain }: Config,
  { namespace, serviceAccount }: { namespace: string; serviceAccount: string },
) {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

function duration(ms: number): { readonly secs: number; readonly nanos: number } {
  const secs = Math.floor(ms / 1_000);
  return { secs, nanos: Math.round((ms - secs * 1_000) * 1e6) };
}

function uriOf(address: ServerAddress | undefined): string | null {
  return address?.uri ?? null;
}

function rootOf(root: RootSource): unknown {
  if (root.kind === 'file') return { File: root.path };
  return root.kind === 'pem' ? 'Static' : 'Default';
}
