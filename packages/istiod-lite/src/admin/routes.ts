/** What the HTTP ports answer: readiness and metrics for everybody, the inside of the process for loopback alone. */
import { dumpMermaid, dumpText } from '@ambit/collections/dump';
import { decodeAuthorization } from '@ambit/api/authorization';
import { decodeAddress } from '@ambit/api/workload';
import type { HttpHandler, HttpResponse } from '@ambit/core/http-server';
import { formatIp, isLoopback } from '@ambit/core/ip';
import { formatMetrics, type MetricRegistry, metricsContentType } from '@ambit/core/metrics';
import type { RuntimeMetrics } from '@ambit/core/metrics-runtime';
import type { DeltaXdsServer } from '@ambit/xds/server';
import type { Graph } from '../graph.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const notFound: HttpResponse = { status: 404, body: 'not here\n' };

export interface AdminSources {
  readonly ready: () => boolean;
  readonly graph: Graph;
  readonly xds: () => readonly DeltaXdsServer[];
}

export function adminHandler(sources: AdminSources): HttpHandler {
  return ({ path, peerIp }) => {
    if (path === '/ready')
      return sources.ready() ? { status: 200, body: 'ready\n' } : { status: 503, body: 'starting\n' };
    if (!path.startsWith('/debug')) return notFound;
    if (peerIp === undefined || !isLoopback(peerIp)) return { status: 403, body: 'only from loopback\n' };
    return debug(path, sources);
  };
}

function debug(path: string, { graph, xds }: AdminSources): HttpResponse {
  switch (path) {
    case '/debug/ambientz':
      return json(meshOf(graph));
    case '/debug/syncz':
    case '/debug/connections':
      return json(xds().flatMap((server) => server.clients()));
    case '/debug/krtz':
      return { status: 200, body: dumpText(graph.roots) };
    case '/debug/graph':
      return { status: 200, body: dumpMermaid(graph.roots) };
    case '/debug':
    case '/debug/list':
      return {
        status: 200,
        body: '/debug/ambientz\n/debug/connections\n/debug/graph\n/debug/krtz\n/debug/syncz\n',
      };
    default:
      return notFound;
  }
}

export function monitoringHandler(
  registry: MetricRegistry,
  runtime: RuntimeMetrics,
  version: string,
): HttpHandler {
  return async ({ path, headers }) => {
    if (path === '/version') return { status: 200, body: `${version}\n` };
    if (path !== '/metrics') return notFound;
    const contentType = metricsContentType(String(headers['accept'] ?? ''));
    const body = formatMetrics([...registry.collect(), ...(await runtime.collect())]);
    return { status: 200, headers: { 'content-type': contentType }, body, compress: true };
  };
}

function json(value: unknown): HttpResponse {
  return { status: 200, headers: JSON_TYPE, body: `${JSON.stringify(value, plain, 2)}\n`, compress: true };
}

/** Istio's ambientz: workloads, services and policies as they are sent. */
function meshOf({ addressFeed, authorizationFeed }: Graph): object {
  const addresses = [...addressFeed.all()].map(({ value }) => decodeAddress(value).type);
  return {
    workloads: addresses.flatMap((type) => (type?.$case === 'workload' ? [type.value] : [])),
    services: addresses.flatMap((type) => (type?.$case === 'service' ? [type.value] : [])),
    policies: [...authorizationFeed.all()].map(({ value }) => decodeAuthorization(value)),
  };
}

/** Addresses as Istio shows them (base64 of the text), maps as objects, big numbers as text. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(formatIp(value) ?? '').toString('base64');
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return typeof value === 'bigint' ? String(value) : value;
}
