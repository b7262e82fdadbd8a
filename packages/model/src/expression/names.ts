/**
 * What expressions about requests and connections may name: the names of Envoy and Istio. Whoever evaluates them has a table of
 * the same names; whoever only checks them needs no more than this. Pure.
 *
 * docs/operate/telemetry.md lists them for users.
 */
import { compileExpression } from './compile.ts';

export const NAMES_OF_ANY = [
  'connection.id',
  'connection.mtls',
  'connection.requested_server_name',
  'connection.uri_san_peer_certificate',
  'connection.uri_san_local_certificate',
  'source.address',
  'source.port',
  'destination.address',
  'destination.port',
  'upstream.address',
  'upstream.port',
  'upstream.local_address',
  'upstream.transport_failure_reason',
  'upstream.uri_san_peer_certificate',
  'xds.route_name',
  'xds.cluster_name',
  'response.flags',
] as const;
export type NameOfAny = (typeof NAMES_OF_ANY)[number];

/** Missing of a connection that is no HTTP. */
export const NAMES_OF_REQUEST = [
  'request.path',
  'request.url_path',
  'request.query',
  'request.host',
  'request.scheme',
  'request.method',
  'request.protocol',
  'request.id',
  'request.referer',
  'request.useragent',
  'request.duration',
  'request.size',
  'request.total_size',
  'response.code',
  'response.code_details',
  'response.grpc_status',
  'response.size',
  'response.total_size',
  'response.backend_latency',
  'connection.termination_details',
  'upstream.request_attempt_count',
] as const;
export type NameOfRequest = (typeof NAMES_OF_REQUEST)[number];

/** Below `filter_state.downstream_peer` and `filter_state.upstream_peer`. */
export const NAMES_OF_PARTY = [
  'name',
  'workload',
  'type',
  'namespace',
  'service',
  'revision',
  'app',
  'version',
  'cluster',
  'principal',
] as const;
export type NameOfParty = (typeof NAMES_OF_PARTY)[number];

const PLAIN: ReadonlySet<string> = new Set([...NAMES_OF_ANY, ...NAMES_OF_REQUEST, 'node.id', 'node.cluster']);
/** Of which each entry is one: any name may follow. */
const MAPS: ReadonlySet<string> = new Set([
  'request.headers',
  'response.headers',
  'response.trailers',
  'node.metadata',
]);
const PARTIES: ReadonlySet<string> = new Set(['filter_state.downstream_peer', 'filter_state.upstream_peer']);
const PARTY_FIELDS: ReadonlySet<string> = new Set(NAMES_OF_PARTY);

/** What keeps an expression from being evaluated, in words. */
export function expressionProblem(source: string): string | undefined {
  const compiled = compileExpression(source, (path) => (isKnown(path) ? () => undefined : undefined));
  return compiled.kind === 'problem' ? compiled.problem : undefined;
}

function isKnown(path: readonly string[]): boolean {
  if (path.length === 2) return PLAIN.has(path.join('.'));
  if (path.length !== 3) return false;
  const root = path.slice(0, 2).join('.');
  return MAPS.has(root) || (PARTIES.has(root) && PARTY_FIELDS.has(path[2] ?? ''));
}
