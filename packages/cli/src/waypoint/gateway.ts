/** A waypoint as the object that users write, and what it says of itself. Pure. */
import { apiVersionOf } from '@ambit/kube/resource';
import type { Condition } from '@ambit/kube/resources/core';
import { type Gateway, gateways } from '@ambit/kube/resources/gateway';
import type { WaypointOptions } from '../command-line.ts';
import { UsageError } from '../errors.ts';

export const WAYPOINT_CLASS = 'istio-waypoint';
/** On the pods of a Gateway: its name. */
export const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name';
export const USE_WAYPOINT_LABEL = 'istio.io/use-waypoint';
export const USE_WAYPOINT_NAMESPACE_LABEL = 'istio.io/use-waypoint-namespace';
const WAYPOINT_FOR_LABEL = 'istio.io/waypoint-for';
const REVISION_LABEL = 'istio.io/rev';
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** @throws {@link UsageError} if a waypoint cannot be called so. */
export function waypointGateway(
  { name, trafficType, revision }: WaypointOptions,
  namespace: string | undefined,
): Gateway {
  if (name === 'none')
    throw new UsageError('a waypoint cannot be called none: that is what those say who want no waypoint');
  if (!NAME.test(name))
    throw new UsageError(`"${name}" cannot be the name of a waypoint: its Service is called so as well`);
  const labels = {
    ...(trafficType && { [WAYPOINT_FOR_LABEL]: trafficType }),
    ...(revision !== undefined && { [REVISION_LABEL]: revision }),
  };
  return {
    apiVersion: apiVersionOf(gateways),
    kind: gateways.kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(Object.keys(labels).length > 0 && { labels }),
    },
    spec: {
      gatewayClassName: WAYPOINT_CLASS,
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
    },
  };
}

export function isWaypoint({ spec }: Gateway): boolean {
  return spec?.gatewayClassName === WAYPOINT_CLASS;
}

/** What a waypoint takes traffic for; one that says nothing takes that of services. */
export function trafficTypeOf({ metadata }: Gateway): string {
  return metadata.labels?.[WAYPOINT_FOR_LABEL] ?? 'service';
}

export function revisionOf({ metadata }: Gateway): string {
  return metadata.labels?.[REVISION_LABEL] ?? 'default';
}

/** The condition that says whether it is ready; of the object as it is now, not of an older one. */
export function programmed({ metadata, status }: Gateway): Condition | undefined {
  const found = status?.conditions?.find(({ type }) => type === 'Programmed');
  const isOld =
    found?.observedGeneration !== undefined &&
    metadata.generation !== undefined &&
    found.observedGeneration < metadata.generation;
  return isOld ? undefined : found;
}

export function isProgrammed(gateway: Gateway): boolean {
  return programmed(gateway)?.status === 'True';
}
