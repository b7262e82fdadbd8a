/**
 * Remembers which endpoints may be drawn, per service, port and client locality, until the mesh changes.
 *
 * Only a matter of speed: what is remembered is what would be computed again. It belongs to one mesh and goes with it.
 */
import { MAX_CACHED_CANDIDATES } from './limits.ts';
import type { Candidates, EndpointRequest } from './load-balance.ts';
import type { MeshView } from './mesh.ts';

interface Cache {
  version: number;
  size: number;
  readonly candidates: Map<string, Candidates>;
}

const caches = new WeakMap<MeshView, Cache>();

export function candidatesFor(
  mesh: MeshView,
  request: EndpointRequest,
  compute: () => Candidates,
): Candidates {
  const cache = cacheOf(mesh);
  const key = keyOf(request);
  const known = cache.candidates.get(key);
  if (known) return known;
  const made = compute();
  cache.size += 1 + made.endpoints.length;
  if (cache.size > MAX_CACHED_CANDIDATES) {
    cache.candidates.clear();
    cache.size = 1 + made.endpoints.length;
  }
  cache.candidates.set(key, made);
  return made;
}

function cacheOf(mesh: MeshView): Cache {
  const known = caches.get(mesh);
  if (known?.version === mesh.version) return known;
  const fresh = { version: mesh.version, size: 0, candidates: new Map<string, Candidates>() };
  caches.set(mesh, fresh);
  return fresh;
}

/** All of the client that endpoints are compared with. */
function keyOf({ service, port, mode, source }: EndpointRequest): string {
  const { region, zone, subzone } = source.locality;
  const { network, node, clusterId } = source;
  return [service.key, port, mode, network, clusterId, node, region, zone, subzone].join('\n');
}
