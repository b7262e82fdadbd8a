/**
 * Requests of the waypoint itself to services of the mesh: collectors of spans, services that authorize.
 *
 * They go the way of every other request, in a tunnel to an endpoint that proves who it is, and are told of nowhere.
 */
import type { Random } from '@ambit/core/clock';
import type { MeshView } from '@ambit/model/mesh';
import { splitServiceKey } from '@ambit/model/address';
import type { Service } from '@ambit/model/service';
import { type Answer, askEndpoint, type Question } from './ask-endpoint.ts';
import { UpstreamError } from './errors.ts';
import type { UpstreamEndpoint } from './endpoint.ts';
import type { Upstreams } from './upstreams.ts';

export interface ServiceQuestion extends Omit<Question, 'authority'> {
  /** `hostname` or `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
  /** Default: the service's hostname. */
  readonly authority?: string;
}

const NOBODY: ReadonlySet<UpstreamEndpoint> = new Set();

/**
 * @throws {@link UpstreamError} when there is no such service, no endpoint, or no whole answer; `signal.reason` when that
 * aborts first.
 */
export async function askService(
  upstreams: Upstreams,
  mesh: MeshView,
  random: Random,
  question: ServiceQuestion,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  const service = findService(mesh, question.service);
  if (!service) {
    throw new UpstreamError('NC', 'cluster_not_found', `there is no service ${question.service}`);
  }
  const cluster = upstreams.cluster({ to: { service: service.key, port: question.port }, subset: '' });
  await cluster.pending;
  const [vip] = service.vips;
  const address = { ip: vip?.ip ?? '', port: question.port };
  const endpoint = cluster.pick({ hash: undefined, avoid: NOBODY, random, address });
  if (endpoint instanceof UpstreamError) throw endpoint;
  return await askEndpoint(endpoint, { authority: service.hostname, ...question }, signal);
}

/** By key, or by hostname: then the canonical one of several. */
function findService(mesh: MeshView, name: string): Service | undefined {
  const parts = splitServiceKey(name);
  if (parts) return mesh.serviceByKey(`${parts.namespace}/${parts.hostname}`);
  const named = mesh.servicesByHostname(name);
  return named.find(({ canonical }) => canonical) ?? named[0];
}
