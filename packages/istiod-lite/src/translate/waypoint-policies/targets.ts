/** What a policy at waypoints is attached to, on the wire. Pure. */
import type { PolicyTarget, WaypointFields } from '@ambit/api/waypoint';
import type { PolicyTargetReference } from '@ambit/kube/resources/security';
import { serviceKindOf } from '../routes/parents.ts';
import { type Catalog, serviceKey } from '../routes/catalog.ts';
import { WAYPOINT_CONTROLLER } from '../waypoint.ts';

export interface TargetSources {
  readonly catalog: Catalog;
  /** The controller of a GatewayClass; `undefined` if there is no such class. */
  readonly classController: (name: string) => string | undefined;
  readonly rootNamespace: string;
}

export interface Targets {
  readonly wire: readonly WaypointFields<PolicyTarget>[];
  /** `namespace/hostname` of each service. */
  readonly services: readonly string[];
  /** `namespace/name` of each Gateway. */
  readonly gateways: readonly string[];
  readonly everyWaypoint: boolean;
}

/** Of what has no targets. */
export const NO_TARGETS: Targets = { wire: [], services: [], gateways: [], everyWaypoint: false };

/**
 * A target that is not there is none of these, and its status says so. A GatewayClass counts in the root namespace alone:
 * who writes elsewhere must not rule the mesh.
 */
export function policyTargets(
  references: readonly PolicyTargetReference[],
  namespace: string,
  { catalog, classController, rootNamespace }: TargetSources,
): Targets {
  const services = references.flatMap(({ group = '', kind, name }) => {
    const serviceKind = serviceKindOf(group, kind);
    return serviceKind ? catalog.object(serviceKind, namespace, name) : [];
  });
  const gateways = references
    .filter(({ kind }) => kind === 'Gateway')
    .map(({ name }) => `${namespace}/${name}`);
  const everyWaypoint =
    namespace === rootNamespace &&
    references.some(
      ({ kind, name }) => kind === 'GatewayClass' && classController(name) === WAYPOINT_CONTROLLER,
    );
  return {
    wire: [
      ...services.map(
        (service) =>
          ({
            kind: {
              $case: 'service',
              value: { namespace: service.namespace, hostname: service.hostname },
            },
          }) as const,
      ),
      ...gateways.map((gateway) => ({ kind: { $case: 'gateway', value: gateway } }) as const),
      ...(everyWaypoint ? [{ kind: { $case: 'allWaypoints', value: true } } as const] : []),
    ],
    services: services.map(serviceKey),
    gateways,
    everyWaypoint,
  };
}
