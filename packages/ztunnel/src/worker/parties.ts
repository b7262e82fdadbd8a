/** The two ends of a connection as metrics and logs tell them, from what a decision knew. */
import { type Baggage, baggageOfWorkload } from '@ambit/hbone/baggage';
import type { Route } from '@ambit/model/decide/route';
import type { MeshView } from '@ambit/model/mesh';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { type Party, partyOf, partyOfPeer, type Traffic, UNKNOWN_PARTY } from './traffic.ts';

interface Cached {
  plain: Party | undefined;
  proven: Party | undefined;
  baggage: string | undefined;
}

/** Workloads are replaced, never changed, so what follows from one stays right. */
const cache = new WeakMap<Workload, Cached>();

function cachedOf(workload: Workload): Cached {
  const known = cache.get(workload);
  if (known) return known;
  const made: Cached = { plain: undefined, proven: undefined, baggage: undefined };
  cache.set(workload, made);
  return made;
}

/** @param principal - What it proved; `undefined` in clear. */
export function partyOfWorkload(workload: Workload, principal: string | undefined): Party {
  const cached = cachedOf(workload);
  if (principal === undefined) {
    cached.plain ??= partyOf(workload, undefined);
    return cached.plain;
  }
  if (cached.proven?.principal !== principal) cached.proven = partyOf(workload, principal);
  return cached.proven;
}

/** What a CONNECT, or its answer, says about a workload of ours. */
export function baggageOf(workload: Workload): string {
  const cached = cachedOf(workload);
  cached.baggage ??= baggageOfWorkload(workload);
  return cached.baggage;
}

export function outboundTraffic(source: Workload, route: Route): Traffic {
  const tunnelled = route.protocol !== 'TCP';
  const { workload } = route;
  return {
    reporter: 'source',
    source: partyOfWorkload(source, tunnelled ? source.identity : undefined),
    destination: workload
      ? partyOfWorkload(workload, tunnelled ? workload.identity : undefined)
      : UNKNOWN_PARTY,
    service: route.service,
    mutualTls: tunnelled,
  };
}

/** Behind a gateway: who answered in the inner tunnel, and what it says of itself. */
export function learnedTraffic(traffic: Traffic, identity: string, baggage: Baggage): Traffic {
  const told = partyOfPeer(baggage, identity);
  return {
    ...traffic,
    destination: told.workload === '' ? { ...traffic.destination, principal: identity } : told,
  };
}

export interface InboundPeer {
  readonly ip: string;
  readonly identity: string | undefined;
  /** Read only when mesh state does not know the peer. */
  readonly baggage: () => Baggage | undefined;
  /** The peer is a gateway that passes another network's tunnel on: its address is not the source's. */
  readonly isGateway: boolean;
}

export function inboundTraffic(
  mesh: MeshView,
  network: string,
  local: Workload,
  peer: InboundPeer,
  service: Service | undefined,
): Traffic {
  const known = peer.isGateway ? undefined : mesh.workloadAt(network, peer.ip);
  const tunnelled = peer.identity !== undefined;
  return {
    reporter: 'destination',
    source: known ? partyOfWorkload(known, peer.identity) : partyOfPeer(peer.baggage(), peer.identity),
    destination: partyOfWorkload(local, tunnelled ? local.identity : undefined),
    service,
    mutualTls: tunnelled,
  };
}
