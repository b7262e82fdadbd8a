/** One connection of a client, and everything that is known of it before its first byte. */
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import type { ServiceKey } from '@ambit/model/address';
import type { Workload } from '@ambit/model/workload';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import type { Destination, ServiceDestination } from '../decide/destination.ts';
import type { RequestChanges } from '../decide/filters.ts';
import { foreignRefusal, isForeign, type RouteEnd, subjectSent } from '../decide/foreign-backend.ts';
import type { ConnectionView } from '../decide/request-view.ts';
import type { Lead } from '../decide/route-decision.ts';
import { atPort } from '../resources/service-port.ts';
import type { PortConfig, Snapshot } from '../resources/snapshot.ts';
import { type Party, partyOfWorkload } from '../telemetry/party.ts';
import type { Ends, ServiceNames } from '../telemetry/record.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';

export interface Downstream {
  readonly id: number;
  readonly connection: ConnectionView;
  readonly destination: Destination;
  /** The client's own address, as it is logged. */
  readonly remote: string;
  /** What the client dialled. */
  readonly local: string;
  readonly source: Party;
  readonly service: ServiceNames | undefined;
}

export interface DownstreamFacts {
  readonly id: number;
  readonly peer: Endpoint;
  readonly identity: string;
  readonly destination: Destination;
  readonly source: Party;
  readonly sni?: string | undefined;
}

export function downstreamOf({ id, peer, identity, destination, source, sni }: DownstreamFacts): Downstream {
  const { address } = destination;
  return {
    id,
    destination,
    source,
    connection: { identity, sourceIp: peer.ip, destination: address, sni },
    remote: formatHostPort(peer.ip, peer.port),
    local: formatHostPort(address.ip, address.port),
    service: destination.kind === 'service' ? destination.service : undefined,
  };
}

/**
 * @param endpoint - The one chosen last, if any was.
 * @param upstreamLocal - Our end of the connection to it; empty if there was none.
 */
export function endsOf(
  downstream: Downstream,
  endpoint: UpstreamEndpoint | undefined,
  upstreamLocal: string,
): Ends {
  const { source, service, destination, local, remote, id } = downstream;
  const facts = endpoint?.facts;
  const identity = facts?.tunnelled ? facts.workload?.identity : undefined;
  return {
    source,
    destination: facts?.workload && partyOfWorkload(facts.workload, identity),
    service,
    servicePort: destination.port,
    addresses: {
      upstream: endpoint?.key ?? '',
      upstreamLocal,
      downstreamLocal: local,
      downstreamRemote: remote,
    },
    connectionId: id,
  };
}

/** What applies to the connection's traffic now. */
export function configOf(snapshot: Snapshot, destination: Destination): PortConfig {
  return destination.kind === 'service'
    ? snapshot.servicePort(destination.service.key, destination.port)
    : snapshot.workloads();
}

/** The service's key, or nothing for a workload's own address. */
export function serviceOf(destination: Destination): ServiceKey | undefined {
  return destination.kind === 'service' ? destination.service.key : undefined;
}

/** For messages. */
export function workloadOf(destination: Destination): Workload | undefined {
  return destination.kind === 'workload' ? destination.workload : undefined;
}

/**
 * The policy that keeps what is for `destination` from where a route leads it; `undefined`: none does.
 *
 * @param subject - As the policies of `destination` were asked. @param led - What the lead makes of it, before the changes;
 * by default the same.
 */
export function keptFrom(
  snapshot: Snapshot,
  { service, port }: ServiceDestination,
  lead: Lead & Partial<RequestChanges>,
  subject: AuthorizationSubject,
  led = subject,
): string | undefined {
  if (!isForeign(service.key, lead)) return undefined;
  const { filters = [], matchedPrefixLength = 0, consumerNamespace } = lead;
  const changes = { filters, matchedPrefixLength, consumerNamespace };
  const sent = subjectSent(changes, led, snapshot.settings.pathNormalization);
  if (!sent) return 'none';
  const end = (key: ServiceKey, at: number): RouteEnd => ({
    service: key,
    port: at,
    config: snapshot.servicePort(key, at),
  });
  // The port of the request stands for one that a backend does not name.
  const there = atPort(lead.backend.to, port);
  return foreignRefusal(end(service.key, port), end(there.service, there.port), subject, sent);
}
