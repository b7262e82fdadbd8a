/** Which services a route is attached to, by its parent references. Pure. */
import type { ServicePort } from '@ambit/api/waypoint';
import type { ParentReference } from '@ambit/kube/resources/routes';
import { WAYPOINT_CONTROLLER } from '../waypoint.ts';
import { type Catalog, type CatalogService, type ServiceKind, visibleIn } from './catalog.ts';

/** By these words we know what we said of a Gateway that is a waypoint no longer. */
export const WAYPOINTS_TAKE_NONE = 'is a waypoint, whose listeners take no routes';
const GATEWAY_GROUP = 'gateway.networking.k8s.io';

export interface ParentRefusal {
  readonly reason: 'NoMatchingParent' | 'NotAllowedByListeners';
  readonly message: string;
}

/** What became of one parent reference. */
export interface Parent {
  readonly reference: ParentReference;
  readonly namespace: string;
  /** Empty if it is refused, or a Gateway. */
  readonly services: readonly ServicePort[];
  readonly refusal: ParentRefusal | undefined;
}

export interface ParentLookup {
  readonly catalog: Catalog;
  /** The controller of a Gateway's class; `undefined` if there is no such Gateway, or class. */
  readonly gatewayController: (namespace: string, name: string) => string | undefined;
}

/** Those that are ours to judge: services, and Gateways that are waypoints. */
export function parentsOf(
  references: readonly ParentReference[],
  routeNamespace: string,
  lookup: ParentLookup,
): readonly Parent[] {
  return references.flatMap((reference): readonly Parent[] => {
    const { group = GATEWAY_GROUP, kind = 'Gateway', name } = reference;
    const namespace = reference.namespace ?? routeNamespace;
    const refused = (reason: ParentRefusal['reason'], message: string): readonly Parent[] => [
      { reference, namespace, services: [], refusal: { reason, message } },
    ];
    if (group === GATEWAY_GROUP && kind === 'Gateway')
      return lookup.gatewayController(namespace, name) === WAYPOINT_CONTROLLER
        ? refused(
            'NotAllowedByListeners',
            `Gateway ${namespace}/${name} ${WAYPOINTS_TAKE_NONE}; attach the route to a Service behind it`,
          )
        : [];
    const serviceKind = serviceKindOf(group, kind);
    if (!serviceKind) return [];
    const services = visibleIn(routeNamespace, lookup.catalog.object(serviceKind, namespace, name));
    if (services.length === 0)
      return refused('NoMatchingParent', `parent ${serviceKind} ${namespace}/${name} was not found`);
    const ports = services.map((service) => portOf(service, reference));
    if (ports.includes(undefined))
      return refused(
        'NoMatchingParent',
        `parent ${serviceKind} ${namespace}/${name} has no port ${portText(reference)}`,
      );
    return [
      {
        reference,
        namespace,
        services: services.map(({ hostname }, i) => ({ namespace, hostname, port: ports[i] ?? 0 })),
        refusal: undefined,
      },
    ];
  });
}

export function serviceKindOf(group: string, kind: string): ServiceKind | undefined {
  if (kind === 'Service' && (group === '' || group === 'core')) return 'Service';
  return kind === 'ServiceEntry' && group === 'networking.istio.io' ? 'ServiceEntry' : undefined;
}

/** 0: every port. `undefined`: there is none that is both what `port` and what `sectionName` says. */
function portOf({ ports }: CatalogService, { port, sectionName }: ParentReference): number | undefined {
  if (port === undefined && sectionName === undefined) return 0;
  return ports.find(
    ({ number, name }) =>
      (port === undefined || number === port) && (sectionName === undefined || name === sectionName),
  )?.number;
}

function portText({ port, sectionName }: ParentReference): string {
  if (sectionName === undefined) return String(port);
  return port === undefined ? `"${sectionName}"` : `${port} named "${sectionName}"`;
}
