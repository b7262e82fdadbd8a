/** The DNS proxy of one pod: its sockets in the pod's network namespace, served by the control thread. */
import type { Clock, Random } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import { type Endpoint, familyOf } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { LinuxError } from '@ambit/linux/errors';
import { listenTcp, udpSocket } from '@ambit/linux/sockets';
import type { DnsOptions } from '@ambit/model/dns-answer';
import type { LocalPod } from '@ambit/model/workload';
import type { Draining } from './draining.ts';
import { InFlight } from './in-flight.ts';
import { MAX_IN_FLIGHT_PER_POD } from './limits.ts';
import type { DnsRecorder } from './recorder.ts';
import { Resolver, type ResolverOptions } from './resolver.ts';
import { serveTcp } from './tcp-server.ts';
import { serveUdp } from './udp-server.ts';
import { Upstream } from './upstream.ts';

export interface DnsDeps {
  readonly mesh: ResolverOptions['mesh'];
  readonly dns: DnsOptions;
  /** Where to listen in every pod. IPv6 is left out where a pod has none, if another address is there. */
  readonly listen: readonly Endpoint[];
  readonly nameservers: readonly Endpoint[];
  /** SO_MARK of all sockets; `undefined`: none. */
  readonly mark: number | undefined;
  /** Another process may listen at the same addresses: the ztunnel that this one replaces. Default false. */
  readonly reusePort?: boolean;
  /** Counts the questions of all pods that are under way. */
  readonly inFlight: InFlight;
  readonly recorder: DnsRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Listens in the pod's namespace and answers until disposed of. Drained, it leaves the port to a successor, and answers what
 * had come before.
 *
 * @param netnsFd - Is only borrowed, until disposed of; `undefined`: the namespace of this process.
 * @throws LinuxError when an address is taken or may not be had; then nothing stays open.
 */
export async function startDns(pod: LocalPod, netnsFd: number | undefined, deps: DnsDeps): Promise<Draining> {
  using scope = new DisposableStack();
  const { clock, random, log, mark, recorder, mesh, dns } = deps;
  const upstream = scope.use(new Upstream({ netnsFd, mark, nameservers: deps.nameservers, clock }));
  const inFlight = new InFlight(MAX_IN_FLIGHT_PER_POD, deps.inFlight);
  const resolver = new Resolver({ pod, mesh, dns, upstream, inFlight, recorder, clock, random, log });
  const where = {
    ...(netnsFd === undefined ? {} : { netnsFd }),
    ...(mark === undefined ? {} : { mark }),
    reusePort: deps.reusePort ?? false,
  };
  const servers: Draining[] = [];
  for (const { ip, port } of deps.listen) {
    try {
      const udp = udpSocket({ ...where, ip, port });
      servers.push(scope.use(serveUdp(udp, ip, resolver, log)));
      const tcp = listenTcp({ ...where, ip, port, v6only: true });
      servers.push(scope.use(await serveTcp(tcp.fd, { resolver, clock, log })));
    } catch (error) {
      if (servers.length === 0 || familyOf(ip) === 4 || !isWithoutIpv6(error)) throw error;
      log.debug('pod without IPv6 loopback', { pod: pod.name, error: messageOf(error) });
    }
  }
  const owned = scope.move();
  return {
    drain: async () => {
      await Promise.all(servers.map((server) => server.drain()));
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function isWithoutIpv6(error: unknown): boolean {
  const missing = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'];
  return error instanceof LinuxError
    ? missing.includes(error.errnoName)
    : missing.includes(codeOf(error) ?? '');
}
