/** Whether the waypoints of a cluster are well, for `ambit status`: which run, and who asks for one that is not there. */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeClient } from '@ambit/kube/client';
import { deployments, namespaces, pods, services } from '@ambit/kube/resources/core';
import { type Gateway, gateways } from '@ambit/kube/resources/gateway';
import type { Context } from '../context.ts';
import { isLive } from '../enrolment.ts';
import { podReasons } from '../install/rollout.ts';
import { isReady } from '../pod-ready.ts';
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
export async function waypointRows(context: Context, problems: string[]): Promise<readonly WaypointRow[]> {
  const { client, signal } = context;
  try {
    const { items } = await client.list(gateways, {}, signal);
    const waypoints = items.filter(isWaypoint);
    for (const waypoint of waypoints) problems.push(...(await problemOf(context, waypoint)));
    problems.push(...(await askedInVain(client, items, signal)));
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

async function problemOf(context: Context, gateway: Gateway): Promise<readonly string[]> {
  if (isProgrammed(gateway)) return [];
  return [`waypoint ${keyOf(gateway)} is not ready: ${await whyNotReady(context, gateway)}`];
}

/** What its pods lack, if it has any that are not ready, since that is nearer than what its status says. */
export async function whyNotReady(context: Context, gateway: Gateway): Promise<string> {
  const { client, signal } = context;
  const { namespace = '', name } = gateway.metadata;
  const { reason = '', message = 'istiod has not looked at it yet' } = programmed(gateway) ?? {};
  const said = [reason, message].filter(Boolean).join(': ');
  const { items } = await client.list(pods, { namespace, labelSelector: GATEWAY_NAME_LABEL }, signal);
  const waiting = items.filter(
    (pod) => pod.metadata.labels?.[GATEWAY_NAME_LABEL] === name && isLive(pod) && !isReady(pod),
  );
  return waiting.length === 0 ? said : `${said}; ${await podReasons(context, waiting)}`;
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
