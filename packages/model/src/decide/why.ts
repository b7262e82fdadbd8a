/**
 * Why a connection goes where it goes, as named steps that a person can follow. Plain data, for `/debug/why` and
 * `ambit why`. What the destination makes of it is told by explain-authorization.ts.
 *
 * Steps tell what the decisions decided, by asking the same functions; nothing is decided here.
 */
import { formatHostPort } from '@ambit/core/ip';
import { formatGatewayDestination } from '../address.ts';
import { MAX_EXPLAINED_ENDPOINTS } from '../limits.ts';
import { listsPort } from '../load-balance.ts';
import type { MeshView } from '../mesh.ts';
import type { Service } from '../service.ts';
import type { Workload } from '../workload.ts';
import { type EndpointTrace, explainEndpoints } from './explain-endpoints.ts';
import { addressedService, type Route, type RouteDecision, type RouteRequest, selectRoute } from './route.ts';
import { isInstanceOf } from './upstream.ts';

export type StepName = 'capture' | 'service' | 'endpoint' | 'waypoint' | 'identity' | 'verdict';

export interface Step {
  readonly name: StepName;
  /** `refused`: the connection ends here. */
  readonly outcome: 'passed' | 'refused';
  /** One sentence. */
  readonly says: string;
  /** One line each, for whoever wants to know more. */
  readonly details: readonly string[];
}

/** Who to ask for the other half, and what. */
export interface NextHop {
  readonly protocol: Route['protocol'];
  readonly to: string;
  readonly authority: string;
  /** The workload at the next hop; empty where nothing is known of it. */
  readonly workloadUid: string;
  /** The node of that workload; empty where it is not known. */
  readonly node: string;
}

export interface Explanation {
  readonly meshVersion: number;
  readonly allowed: boolean;
  readonly steps: readonly Step[];
  readonly next: NextHop | undefined;
}

/** Where there is a choice by weight, the explanation follows the first of those that may be chosen. */
const FIRST = () => 0;

export function explainOutbound(
  mesh: MeshView,
  request: RouteRequest,
  options: { readonly illegalPorts: ReadonlySet<number> },
): Explanation {
  const decision = selectRoute(mesh, request, { random: FIRST, illegalPorts: options.illegalPorts });
  const service = addressedService(mesh, request) ?? reportedService(decision);
  const steps = [
    captureStep(request),
    serviceStep(request, service, decision),
    ...endpointSteps(mesh, request, service, decision),
    waypointStep(mesh, request, service, decision),
    identityStep(decision),
    verdictStep(decision),
  ];
  const allowed = steps.every(({ outcome }) => outcome === 'passed');
  return { meshVersion: mesh.version, allowed, steps, next: nextHop(decision) };
}

function step(name: StepName, outcome: Step['outcome'], says: string, details: readonly string[] = []): Step {
  return { name, outcome, says, details };
}

function captureStep({ source, sourceIp, target, network }: RouteRequest): Step {
  const says = `${source.uid} (${sourceIp}) connects to ${formatHostPort(target.ip, target.port)}`;
  return step('capture', 'passed', says, [
    `its identity is ${source.identity}`,
    `its node is ${source.node || 'not known'}, its network ${quoted(source.network)}, the proxy’s ${quoted(network)}`,
  ]);
}

function serviceStep({ target }: RouteRequest, service: Service | undefined, decision: RouteDecision): Step {
  if (service === undefined) {
    const isKnown = decision.kind !== 'route' || decision.via !== 'passthrough';
    return step(
      'service',
      'passed',
      isKnown ? 'no service is addressed' : `nothing is known of ${target.ip}`,
    );
  }
  const ports = [...service.ports].map(([from, to]) => `${from}→${to || 'named'}`).join(', ');
  const { loadBalancer } = service;
  return step('service', 'passed', `${target.ip} belongs to the service ${service.key}`, [
    `its ports are ${ports || 'none'}`,
    loadBalancer
      ? `endpoints are chosen by ${loadBalancer.mode} over ${loadBalancer.routingPreferences.join(', ') || 'no preferences'}, health: ${loadBalancer.healthPolicy}`
      : 'endpoints are chosen by weight alone',
  ]);
}

/** A service behind a waypoint has its endpoint chosen by the waypoint. */
function endpointSteps(
  mesh: MeshView,
  { source, target }: RouteRequest,
  service: Service | undefined,
  decision: RouteDecision,
): readonly Step[] {
  const isWaypoints =
    decision.kind === 'refuse' ? decision.reason === 'unknown-waypoint' : isThroughWaypoint(decision);
  if (service === undefined || isWaypoints || service.loadBalancer?.mode === 'Passthrough') return [];
  const request = { service, port: target.port, source, mode: 'Standard' as const };
  const endpoints = explainEndpoints(mesh, request);
  const usable = endpoints.filter(({ share }) => share > 0);
  const says = listsPort(request)
    ? `${usable.length} of ${endpoints.length} endpoints may take the connection`
    : `${service.key} has no port ${target.port}`;
  return [step('endpoint', usable.length > 0 ? 'passed' : 'refused', says, endpointDetails(endpoints))];
}

function endpointDetails(endpoints: readonly EndpointTrace[]): readonly string[] {
  const shown = endpoints
    .toSorted((a, b) => b.share - a.share)
    .slice(0, MAX_EXPLAINED_ENDPOINTS)
    .map(({ workloadUid, excluded, rank, targetPort, share }) =>
      excluded === undefined
        ? `${workloadUid} port ${targetPort ?? 0}: ${Math.round(share * 100)} % of connections`
        : `${workloadUid}: left out, ${EXCLUSIONS[excluded]}${excluded === 'locality' ? ` (rank ${rank})` : ''}`,
    );
  const more = endpoints.length - shown.length;
  return more > 0 ? [...shown, `and ${more} more`] : shown;
}

const EXCLUSIONS: Readonly<Record<Exclude<EndpointTrace['excluded'], undefined>, string>> = {
  'unknown-workload': 'its workload is not known',
  'no-address': 'it has no address',
  'port-not-served': 'it does not serve the port',
  'no-weight': 'its capacity is 0',
  locality: 'another is nearer',
};

function waypointStep(
  mesh: MeshView,
  { source, sourceIp }: RouteRequest,
  service: Service | undefined,
  decision: RouteDecision,
): Step {
  if (decision.kind === 'refuse' && decision.reason === 'unknown-waypoint') {
    return step('waypoint', 'refused', decision.message);
  }
  if (isThroughWaypoint(decision)) {
    const details = decision.workload ? [`instance ${decision.workload.uid}`] : [];
    return step('waypoint', 'passed', `a waypoint takes the connection at ${hostPort(decision)}`, details);
  }
  const own = decision.kind === 'route' ? decision.workload?.waypoint : undefined;
  if (own === undefined) return step('waypoint', 'passed', 'no waypoint is asked for');
  const name = formatGatewayDestination(own.destination);
  if (service) {
    return step(
      'waypoint',
      'passed',
      `the workload’s waypoint ${name} is passed by, since a service was addressed`,
    );
  }
  const is = isInstanceOf(mesh, source, sourceIp, own);
  return step('waypoint', 'passed', is ? `the client is itself the waypoint ${name}` : `waypoint ${name}`);
}

function identityStep(decision: RouteDecision): Step {
  if (decision.kind !== 'route') return step('identity', 'passed', 'no peer has to prove anything yet');
  if (decision.protocol === 'TCP') return step('identity', 'passed', 'plain TCP: the peer proves nothing');
  const says = `the peer must prove one of ${decision.expectedIdentities.join(', ')}`;
  const inner = decision.innerIdentities;
  const details = inner.length > 0 ? [`behind the gateway, one of ${inner.join(', ')}`] : [];
  return step('identity', 'passed', says, details);
}

function verdictStep(decision: RouteDecision): Step {
  switch (decision.kind) {
    case 'refuse':
      return step('verdict', 'refused', decision.message);
    case 'resolve':
      return step(
        'verdict',
        'passed',
        `${decision.hostname} is resolved, and one of its addresses is connected to`,
      );
    case 'route': {
      const authority = decision.authority === '' ? '' : `, asking for ${decision.authority}`;
      return step(
        'verdict',
        'passed',
        `${decision.via}: ${decision.protocol} to ${hostPort(decision)}${authority}`,
      );
    }
    default:
      return decision satisfies never;
  }
}

function nextHop(decision: RouteDecision): NextHop | undefined {
  if (decision.kind !== 'route') return undefined;
  const { protocol, authority } = decision;
  const workload: Workload | undefined = decision.workload;
  return {
    protocol,
    to: hostPort(decision),
    authority,
    workloadUid: workload?.uid ?? '',
    node: workload?.node ?? '',
  };
}

function reportedService(decision: RouteDecision): Service | undefined {
  return decision.kind === 'route' ? decision.service : undefined;
}

function isThroughWaypoint(decision: RouteDecision): decision is Route & { readonly via: 'waypoint' } {
  return decision.kind === 'route' && decision.via === 'waypoint';
}

function hostPort({ to }: Route): string {
  return formatHostPort(to.ip, to.port);
}

function quoted(network: string): string {
  return network === '' ? 'the default one' : network;
}
