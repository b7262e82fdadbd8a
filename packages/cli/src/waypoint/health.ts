/** Whether the waypoints of a cluster are well, for `ambit status`: which run, and who asks for one that is not there. */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeClient } from '@ambit/kube/client';
import { deployments, namespaces, services } from '@ambit/kube/resources/core';
import { type Gateway, gateways } from '@ambit/kube/resources/gateway';
import {
  GATEWAY_NAME_LABEL,
  isProgrammed,
  isWaypoint,
  programmed,
  trafficTypeOf,
  USE_WAYPOINT_LABEL,
  USE_WAYPOINT_NAMESPACE_LABEL,
} from './gateway.ts';

export interface WaypointRow {
  /** `namespace/name` */
  readonly waypoint: string;
  readonly trafficType: string;
  readonly programmed: string;
  readonly ready: number;
  readonly total: number;
}

/**
 * @param problems - Gets a sentence for each thing that is not well.
 * @returns Nothing where the Gateway API is not installed, or may not be read.
 */
export async function waypointRows(
  client: KubeClient,
  problems: string[],
  signal: AbortSignal,
): Promise<readonly WaypointRow[]> {
  try {
    const { items } = await client.list(gateways, {}, signal);
    const waypoints = items.filter(isWaypoint);
    problems.push(...waypoints.flatMap(problemOf), ...(await askedInVain(client, items, signal)));
    const replicas =
      waypoints.length > 0 ? await replicasByGateway(client, signal) : new Map<string, Replicas>();
    return waypoints.map((gateway) => ({
      waypoint: keyOf(gateway),
      trafficType: trafficTypeOf(gateway),
      programmed: programmed(gateway)?.status ?? 'Unknown',
      ready: replicas.get(keyOf(gateway))?.ready ?? 0,
      total: replicas.get(keyOf(gateway))?.total ?? 0,
    }));
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return [];
    throw error;
  }
}

function keyOf({ metadata }: Gateway): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function problemOf(gateway: Gateway): readonly string[] {
  if (isProgrammed(gateway)) return [];
  const { message = 'istiod has not looked at it yet' } = programmed(gateway) ?? {};
  return [`waypoint ${keyOf(gateway)} is not ready: ${message}`];
}

/** Who is labelled to use a Gateway that does not exist: their traffic goes on without one. */
async function askedInVain(
  client: KubeClient,
  there: readonly Gateway[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const known = new Set(there.map(keyOf));
  const labelled = { labelSelector: USE_WAYPOINT_LABEL };
  const [spaces, served] = await Promise.all([
    client.list(namespaces, labelled, signal),
    client.list(services, labelled, signal),
  ]);
  const complaint = (who: string, home: string, labels: Readonly<Record<string, string>> = {}) => {
    const name = labels[USE_WAYPOINT_LABEL];
    const key = `${labels[USE_WAYPOINT_NAMESPACE_LABEL] ?? home}/${name ?? ''}`;
    if (name === undefined || name === 'none' || known.has(key)) return [];
    return [`${who} asks for waypoint ${key}, which is not there`];
  };
  return [
    ...spaces.items.flatMap(({ metadata: { name, labels } }) => complaint(`namespace ${name}`, name, labels)),
    ...served.items.flatMap(({ metadata: { name, namespace = '', labels } }) =>
      complaint(`service ${namespace}/${name}`, namespace, labels),
    ),
  ];
}

interface Replicas {
  readonly ready: number;
  readonly total: number;
}

async function replicasByGateway(
  client: KubeClient,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Replicas>> {
  const { items } = await client.list(deployments, { labelSelector: GATEWAY_NAME_LABEL }, signal);
  return new Map(
    items.map(({ metadata, status }) => [
      `${metadata.namespace ?? ''}/${metadata.labels?.[GATEWAY_NAME_LABEL] ?? ''}`,
      { ready: status?.readyReplicas ?? 0, total: status?.replicas ?? 0 },
    ]),
  );
}
