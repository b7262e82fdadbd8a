/** What the commands about waypoints ask the cluster, with errors that say what is missing. */
import { isNotFound } from '@ambit/kube/errors';
import type { KubeClient } from '@ambit/kube/client';
import { type Gateway, gatewayClasses, gateways } from '@ambit/kube/resources/gateway';
import type { Context } from '../context.ts';
import { NotFoundError } from '../errors.ts';
import { GATEWAY_API_URL } from '../install/decide/gateway-api.ts';
import { isProgrammed, isWaypoint, WAYPOINT_CLASS } from './gateway.ts';
import { WAYPOINT_POLL_MS } from '../limits.ts';

/** The namespace that is meant: the one that was said, else the kubeconfig's. */
export async function namespaceOf({ client, options }: Context): Promise<string> {
  return options.namespace ?? ((await client.transport.access()).namespace || 'default');
}

/**
 * Those of one namespace, or of all (`undefined`), by name.
 *
 * @throws {@link NotFoundError} if the cluster does not know what a Gateway is.
 */
export async function waypointsIn(
  client: KubeClient,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<readonly Gateway[]> {
  try {
    const { items } = await client.list(gateways, { namespace }, signal);
    const keyOf = ({ metadata }: Gateway) => `${metadata.namespace ?? ''}/${metadata.name}`;
    return items.filter(isWaypoint).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  } catch (error) {
    if (isNotFound(error)) throw noGatewayApi();
    throw error;
  }
}

/** @throws {@link NotFoundError} if nobody would run a waypoint here; the message says what to do. */
export async function checkClass({ client, signal }: Context): Promise<void> {
  try {
    await client.get(gatewayClasses, { name: WAYPOINT_CLASS }, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    // A list tells a missing object from a missing kind.
    await waypointsIn(client, 'default', signal);
    throw new NotFoundError(
      `there is no GatewayClass ${WAYPOINT_CLASS}, so nobody would run the waypoint: istiod makes it; "ambit status" says whether that runs`,
    );
  }
}

function noGatewayApi(): NotFoundError {
  return new NotFoundError(
    `the Gateway API is not installed, and waypoints are Gateways: kubectl apply --server-side -f ${GATEWAY_API_URL}`,
  );
}

/** Looks until all that `look` finds are programmed, or the time is over; resolves to what was found last. */
export async function untilProgrammed(
  { clock, options, signal }: Context,
  look: () => Promise<readonly Gateway[]>,
): Promise<readonly Gateway[]> {
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  for (;;) {
    const found = await look();
    if (!options.wait || found.every(isProgrammed) || clock.monotonicMs() >= deadlineMs) return found;
    await clock.sleep(WAYPOINT_POLL_MS, signal);
  }
}
