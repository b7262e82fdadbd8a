/** DNS for each pod, put together from the configuration; the proxy itself is `src/dns`. */
import type { Clock, Random } from '@ambit/core/clock';
import type { Endpoint } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { MetricRegistry } from '@ambit/core/metrics';
import type { MeshStore } from '@ambit/model/store';
import type { Config } from '../config.ts';
import type { Draining } from '../dns/draining.ts';
import { InFlight } from '../dns/in-flight.ts';
import { MAX_IN_FLIGHT } from '../dns/limits.ts';
import { DnsMetrics } from '../dns/recorder.ts';
import { nameserversOf } from '../dns/resolv-conf.ts';
import { startDns } from '../dns/start-dns.ts';
import type { PodInfo } from '../threads/messages.ts';

export interface DnsSources {
  readonly mesh: MeshStore;
  readonly registry: MetricRegistry;
  /** Wanted, and this machine has it. */
  readonly ipv6: boolean;
  /** This process's own: upstream resolvers, and for one workload its search domains. */
  readonly resolvConf: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Starts the DNS of one pod; `undefined` when DNS is off. */
export type StartPodDns = (info: PodInfo, netnsFd: number | undefined) => Promise<Draining>;

export function podDns(config: Config, sources: DnsSources): StartPodDns | undefined {
  if (!config.dns) return undefined;
  const { mesh, registry, ipv6, resolvConf, clock, random, log } = sources;
  const deps = {
    mesh,
    dns: {
      clusterDomain: config.clusterDomain,
      preferredNamespace: config.preferredServiceNamespace ?? '',
      ipv6: config.ipv6,
      ...(config.mode === 'dedicated' ? { searchDomains: searchDomainsOf(resolvConf) } : {}),
    },
    listen: listenAddresses(config, ipv6),
    nameservers: nameserversOf(resolvConf),
    mark: config.packetMark,
    reusePort: config.portReuse,
    inFlight: new InFlight(MAX_IN_FLIGHT),
    recorder: new DnsMetrics(registry),
    clock,
    random,
    log,
  };
  if (deps.nameservers.length === 0)
    log.warn('resolv.conf names no resolver: only names of the mesh are answered');
  return (info, netnsFd) => startDns(info, netnsFd, deps);
}

/** The domains of the last `search` (or `domain`) line. */
export function searchDomainsOf(resolvConf: string): readonly string[] {
  const lines = [...resolvConf.matchAll(/^\s*(?:search|domain)[ \t]+(.+)$/gm)];
  const words = lines.at(-1)?.[1]?.trim().split(/\s+/) ?? [];
  return words.map((word) => word.toLowerCase().replace(/\.$/, '')).filter((word) => word !== '');
}

function listenAddresses({ dnsAddress }: Config, ipv6: boolean): readonly Endpoint[] {
  const { port } = dnsAddress;
  if (dnsAddress.kind === 'ip') return [{ ip: dnsAddress.ip, port }];
  return ['127.0.0.1', ...(ipv6 ? ['::1'] : [])].map((ip) => ({ ip, port }));
}
