/** Every endpoint of a service, as the choice among them saw it: excluded and why, or ranked, with its share. */
import {
  candidatesOf,
  type EndpointExclusion,
  type EndpointRequest,
  exclusionOf,
  rankOf,
  targetPortOf,
} from '../load-balance.ts';
import type { MeshView } from '../mesh.ts';

export interface EndpointTrace {
  readonly workloadUid: string;
  /** Why no connection goes there; `undefined` when some do. */
  readonly excluded: EndpointExclusion | undefined;
  /** How many routing preferences it shares with the client, as the choice counts them. */
  readonly rank: number;
  readonly targetPort: number | undefined;
  /** Share of connections, from 0 to 1. */
  readonly share: number;
}

export function explainEndpoints(mesh: MeshView, request: EndpointRequest): readonly EndpointTrace[] {
  const { endpoints, weights, rank: wanted } = candidatesOf(mesh, request);
  const total = weights.at(-1) ?? 0;
  return Array.from(mesh.endpointsOf(request.service.key), (endpoint) => {
    const workload = mesh.workloadByUid(endpoint.workloadUid);
    const excluded = exclusionOf(workload, endpoint, request);
    const rank = workload ? rankOf(workload, request) : 0;
    const isChosen = excluded === undefined && rank === wanted && endpoints.length > 0;
    return {
      workloadUid: endpoint.workloadUid,
      excluded: excluded ?? (isChosen ? undefined : 'locality'),
      rank,
      targetPort: workload && targetPortOf(workload, endpoint, request),
      share: isChosen ? (workload?.capacity ?? 0) / total : 0,
    };
  });
}
