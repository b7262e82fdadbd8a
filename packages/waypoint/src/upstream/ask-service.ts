/**
 * Requests of the waypoint itself to services of the mesh: collectors of spans, services that authorize.
 *
 * They go the way of every other request, in a tunnel to an endpoint that proves who it is, and are told of nowhere.
 */
import type { Random } from '@ambit/core/clock';
import type { MeshView } from '@ambit/model/mesh';
import { splitServiceKey } from '@ambit/model/address';
import type { Service } from '@ambit/model/service';
import { chooseService } from '@ambit/model/service-choice';
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

export interface AskDeps {
  readonly upstreams: Upstreams;
  readonly mesh: MeshView;
  readonly random: Random;
  /** Of the mesh's settings, which name these services: its services are meant before those of others. */
  readonly rootNamespace: () => string;
}

const NOBODY: ReadonlySet<UpstreamEndpoint> = new Set();

/**
 * @throws {@link UpstreamError} when there is no such service, no endpoint, or no whole answer; `signal.reason` when that
 * aborts first.
 */
export async function askService(
  { upstreams, mesh, random, rootNamespace }: AskDeps,
  question: ServiceQuestion,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  const service = findService(mesh, question.service, rootNamespace());
  if (!service) {
    throw new UpstreamError('NC', 'cluster_not_found', `there is no service ${question.service}`);
  }
  const cluster = upstreams.cluster({ to: { service: service.key, port: question.port }, subset: '' });
  if (cluster.pending) await Promise.race([cluster.pending, whenAborted(signal)]);
  const [vip] = service.vips;
  const address = { ip: vip?.ip ?? '', port: question.port };
  const endpoint = cluster.pick({ hash: undefined, avoid: NOBODY, random, address });
  if (endpoint instanceof UpstreamError) throw endpoint;
  return await askEndpoint(endpoint, { authority: service.hostname, ...question }, signal);
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** By key, or by hostname: then as a client of the root namespace would see it, so that nobody's private one is meant. */
function findService(mesh: MeshView, name: string, rootNamespace: string): Service | undefined {
  const parts = splitServiceKey(name);
  if (parts) return mesh.serviceByKey(`${parts.namespace}/${parts.hostname}`);
  return chooseService(mesh.servicesByHostname(name), rootNamespace);
}
