/** The pods of a waypoint, and asking each what it holds. One that cannot be asked is said, and spoils nothing for the others. */
import { messageOf } from '@ambit/core/errors';
import { type Pod, pods } from '@ambit/kube/resources/core';
import type { Context } from '../context.ts';
import { NotFoundError, ProxyError } from '../errors.ts';
import { mapLimited } from '../map-limited.ts';
import { MAX_PROXIES_ASKED_AT_ONCE } from '../limits.ts';
import { proxyPage } from '../proxy-page.ts';
import { namespaceOf } from './cluster.ts';
import { readWaypointDump, type WaypointDump, type WaypointPart } from './dump.ts';
import { GATEWAY_NAME_LABEL } from './gateway.ts';

export interface Replica {
  readonly pod: string;
  readonly dump: WaypointDump;
}

/**
 * What every running pod of the waypoint says of these parts.
 *
 * @throws {@link NotFoundError} if none runs; {@link ProxyError} if none could be asked.
 */
export async function replicasOf(
  context: Context,
  waypoint: string,
  parts: readonly WaypointPart[],
): Promise<readonly Replica[]> {
  const { client, signal, warn } = context;
  const namespace = await namespaceOf(context);
  const labelSelector = `${GATEWAY_NAME_LABEL}=${waypoint}`;
  const { items } = await client.list(pods, { namespace, labelSelector }, signal);
  const names = items
    .filter(({ status, metadata }) => status?.phase === 'Running' && isOf(waypoint, metadata))
    .map(({ metadata }) => metadata.name)
    .sort();
  if (names.length === 0)
    throw new NotFoundError(
      `no pod of waypoint ${namespace}/${waypoint} runs; "ambit waypoint status" says why`,
    );
  const asked = await mapLimited(names, MAX_PROXIES_ASKED_AT_ONCE, async (name) => {
    try {
      const page = `/config_dump?part=${parts.join(',')}`;
      const json = await proxyPage(context, 'waypoint', { namespace, name }, page);
      if (json === undefined) throw new ProxyError(`waypoint ${namespace}/${name} has no /config_dump`);
      return { pod: name, dump: readWaypointDump(json) };
    } catch (error) {
      warn(messageOf(error));
      return undefined;
    }
  });
  const replicas = asked.filter((one) => one !== undefined);
  if (replicas.length === 0)
    throw new ProxyError(`no pod of waypoint ${namespace}/${waypoint} could be asked`);
  for (const { pod, dump } of replicas)
    for (const [part, count] of dump.leftOut) warn(`${pod} left out ${count} of its ${part}`);
  return replicas;
}

/** Pods that go are left out: they hear of nothing new. */
function isOf(waypoint: string, { labels, deletionTimestamp }: Pod['metadata']): boolean {
  return labels?.[GATEWAY_NAME_LABEL] === waypoint && deletionTimestamp === undefined;
}
