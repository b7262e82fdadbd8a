/** What the data workers are told of the configuration. */
import { formatLogFilter } from '@ambit/core/log';
import { type Config, PORTS } from '../config.ts';
import type { WorkerOptions } from '../threads/worker-options.ts';

/** @param ipv6 - Whether it is wanted and this machine has it. */
export function workerOptions(
  config: Config,
  index: number,
  ipv6: boolean,
  bulkTable: SharedArrayBuffer,
): WorkerOptions {
  const { requireOriginalSource } = config;
  return {
    index,
    workers: config.workers,
    bulkTable,
    mode: config.mode,
    network: config.network,
    nodeName: config.nodeName ?? '',
    clusterId: config.clusterId,
    trustDomain: config.trustDomain,
    ipv6,
    ports: {
      inbound: PORTS.inbound,
      inboundPlaintext: PORTS.inboundPlaintext,
      outbound: PORTS.outbound,
      socks5: config.socks5 ? PORTS.socks5 : undefined,
    },
    illegalPorts: config.illegalPorts,
    packetMark: config.packetMark,
    portReuse: config.portReuse || config.workers > 1,
    originalSource: requireOriginalSource === undefined ? 'try' : requireOriginalSource ? 'must' : 'never',
    localhostApplicationTunnel: config.localhostApplicationTunnel,
    responseBaggage: config.responseBaggage,
    onDemand: config.onDemand,
    missingPolicy: config.missingPolicy,
    logVerdictsAtInfo: config.authzInfoLogging === 'true',
    keepalive: config.keepaliveEnabled
      ? {
          idleMs: config.keepaliveTimeMs,
          intervalMs: config.keepaliveIntervalMs,
          probes: config.keepaliveRetries,
          userTimeout: config.userTimeoutEnabled,
        }
      : undefined,
    http2: {
      streamWindowBytes: config.streamWindowBytes,
      connectionWindowBytes: config.connectionWindowBytes,
      frameBytes: config.frameBytes,
      maxStreamsPerConnection: config.poolMaxStreams,
      unusedReleaseMs: config.poolUnusedReleaseMs,
    },
    tls: config.tls,
    log: { filter: formatLogFilter(config.log.filter), format: config.log.format },
  };
}
