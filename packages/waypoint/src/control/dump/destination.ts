/** A destination as `/config_dump` shows it: what applies to it, how much of it is in use, and how each endpoint is doing. */
import { BREAKER_KINDS } from '../../upstream/breakers.ts';
import type { Cluster } from '../../upstream/cluster.ts';
import type { UpstreamEndpoint } from '../../upstream/endpoint.ts';
import { shown } from './shown.ts';

export function dumpDestination(cluster: Cluster): unknown {
  const { source, subset, breakers, problem, appProtocol, settings } = cluster;
  const {
    from,
    unusable: _,
    service: _service,
    port: _port,
    workloads: _workloads,
    ...policy
  } = cluster.destination;
  return shown({
    destination: source.calledName ?? source.name,
    port: source.port,
    subset: subset === '' ? undefined : subset,
    protocol: appProtocol,
    problem: problem?.message,
    from,
    policy,
    connectTimeoutMs: settings.connectTimeoutMs,
    idleTimeoutMs: settings.idleTimeoutMs,
    breakers: Object.fromEntries(
      BREAKER_KINDS.map((kind) => [kind, { used: breakers.used(kind), limit: breakers.limits[kind] }]),
    ),
    endpoints: [...cluster.endpoints].map(dumpEndpoint),
  });
}

function dumpEndpoint(endpoint: UpstreamEndpoint): unknown {
  const { facts, locality, ejected, failedChecks, isHealthy, activeRequests } = endpoint;
  const pools = [...endpoint.pools()];
  const hasLocality = locality.region !== '' || locality.zone !== '' || locality.subzone !== '';
  return {
    endpoint: endpoint.key,
    workload: facts.workload?.uid,
    tunnelled: facts.tunnelled,
    identities: facts.identities,
    weight: facts.weight,
    locality: hasLocality ? locality : undefined,
    healthy: isHealthy,
    ejected,
    failedHealthChecks: failedChecks,
    requests: activeRequests,
    connections: pools.reduce((sum, { openConnections }) => sum + openConnections, 0),
    waiting: pools.reduce((sum, { waiting }) => sum + waiting, 0),
  };
}
