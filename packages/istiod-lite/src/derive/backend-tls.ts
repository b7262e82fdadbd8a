/** BackendTLSPolicies → what waypoints are sent, and what their statuses shall say. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { IndexCollection } from '@ambit/collections/index-by';
import type { BackendTlsTarget } from '@ambit/kube/resources/backend-tls';
import { authoritiesIn } from '../certificates.ts';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import {
  backendTlsDestination,
  governing,
  readBackendTls,
  type ReadBackendTls,
  targetKey,
  targetNamed,
} from '../translate/destinations/backend-tls-policy.ts';
import { type TargetFindings, wantedAncestors } from '../translate/destinations/backend-tls-status.ts';
import { serviceKey } from '../translate/routes/catalog.ts';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { sameAudience } from './audience.ts';
import type { Catalogs } from './catalog.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { RelevantServices } from './relevant-services.ts';

export interface BackendTls {
  readonly destinations: Collection<string, WaypointEntry>;
  /** By `namespace/name` of the policy. */
  readonly statuses: Collection<string, readonly WantedParent[]>;
}

export function deriveBackendTls(
  { inputs, scheduler }: GraphContext,
  catalogs: Catalogs,
  relevant: RelevantServices,
): BackendTls {
  const authorities = derivedValues({
    name: 'authorities by config map',
    scheduler,
    from: inputs.certificateMaps,
    compute: ({ object }) => authoritiesIn(object),
    equals: sameContent,
  });
  const read = derivedValues({
    name: 'backend TLS policies',
    scheduler,
    from: inputs.backendTlsPolicies,
    inputs: [authorities],
    compute: (policy, _, fetch): ReadBackendTls | undefined =>
      readBackendTls(policy, (key) => fetch.get(authorities, key)),
    equals: sameContent,
  });
  const byTarget = new IndexCollection({
    name: 'backend TLS policies by target',
    scheduler,
    from: read,
    keysOf: ({ namespace, targets }) => targets.flatMap((target) => targetKey(namespace, target) ?? []),
  });
  const destinations = new DerivedCollection({
    name: 'backend TLS policies by resource',
    scheduler,
    from: byTarget,
    inputs: [...catalogs.inputs, relevant.byService],
    compute: (policies, key, fetch): readonly (readonly [string, WaypointEntry])[] => {
      const { kind, namespace, name } = targetNamed(key);
      return catalogs
        .with(fetch)
        .object(kind, namespace, name)
        .flatMap((service) => {
          const audience = fetch.get(relevant.byService, serviceKey(service))?.waypoints ?? [];
          const policy = audience.length > 0 && backendTlsDestination(policies, key, service);
          if (!policy) return [];
          const resource = waypointResource(
            'DestinationPolicy',
            `BackendTLSPolicy/${serviceKey(service)}`,
            policy,
          );
          return [[resource.name, { resource, audience }] as const];
        });
    },
    equals: (a, b) => sameResource(a.resource, b.resource) && sameAudience(a.audience, b.audience),
  });
  const findings = (namespace: string, target: BackendTlsTarget, fetch: Fetch): TargetFindings => {
    const key = targetKey(namespace, target);
    if (key === undefined) return { target, services: undefined, governedBy: undefined, isUsed: false };
    const { kind, name } = targetNamed(key);
    const services = catalogs.with(fetch).object(kind, namespace, name);
    const isUsed = services.some((service) => fetch.get(relevant.byService, serviceKey(service)));
    const governor = governing(fetch.group(byTarget, key), key, target.sectionName ?? '');
    return { target, services, governedBy: governor?.key, isUsed };
  };
  const statuses = derivedValues({
    name: 'statuses of backend TLS policies',
    scheduler,
    from: read,
    inputs: [...catalogs.inputs, relevant.byService, byTarget],
    compute: (policy, _, fetch): readonly WantedParent[] =>
      wantedAncestors(
        policy,
        policy.targets.map((target) => findings(policy.namespace, target, fetch)),
      ),
    equals: sameContent,
  });
  return { destinations, statuses };
}
