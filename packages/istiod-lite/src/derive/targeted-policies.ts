/** Users' policies with targets → what waypoints are sent. */
import type { WaypointFields, WaypointResources } from '@ambit/api/waypoint';
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import { ONLY } from '@ambit/collections/singleton';
import type { KubeObject } from '@ambit/kube/resource';
import type { PolicyTargetReference } from '@ambit/kube/resources/security';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import { targetsOf } from '../translate/policy-targets.ts';
import { waypointAuthorization } from '../translate/waypoint-policies/authorization-policy.ts';
import { waypointRequestAuthentication } from '../translate/waypoint-policies/request-authentication.ts';
import { policyTargets, type Targets } from '../translate/waypoint-policies/targets.ts';
import type { TrustDomains } from '../translate/waypoint-policies/trust-domains.ts';
import type { Attachments } from './attachments.ts';
import { audienceOf, sameAudience } from './audience.ts';
import type { Catalogs } from './catalog.ts';
import type { GraphContext } from './context.ts';

type Kind = 'AuthorizationPolicy' | 'RequestAuthentication';

export type TargetedPolicies = Readonly<Record<Kind, Collection<string, WaypointEntry>>>;

interface Targeted extends KubeObject {
  readonly spec?: {
    readonly targetRef?: PolicyTargetReference;
    readonly targetRefs?: readonly PolicyTargetReference[];
  };
}

export function deriveTargetedPolicies(
  { inputs, meshConfig, settings, scheduler }: GraphContext,
  catalogs: Catalogs,
  attachments: Attachments,
): TargetedPolicies {
  const { rootNamespace, trustDomain } = settings;
  const entriesOf = <T extends Targeted, K extends Kind>(
    kind: K,
    from: Collection<string, T>,
    translate: (
      policy: T,
      targets: Targets,
      domains: TrustDomains,
    ) => WaypointFields<WaypointResources[K]> | undefined,
  ): Collection<string, WaypointEntry> => {
    const encoded = derivedValues({
      name: `encoded ${kind} with targets`,
      scheduler,
      from,
      inputs: [...catalogs.inputs, inputs.gatewayClasses, meshConfig],
      compute: (policy, key, fetch) => {
        const references = targetsOf(policy.spec ?? {});
        if (references.length === 0) return undefined;
        const targets = policyTargets(references, policy.metadata.namespace ?? '', {
          catalog: catalogs.with(fetch),
          classController: (name) => fetch.get(inputs.gatewayClasses, name)?.spec?.controllerName,
          rootNamespace,
        });
        const aliases = fetch.get(meshConfig, ONLY)?.trustDomainAliases ?? [];
        const fields = translate(policy, targets, { trustDomain, aliases });
        return fields && { resource: waypointResource(kind, key, fields), targets };
      },
      equals: (a, b) => sameResource(a.resource, b.resource),
    });
    return derivedValues({
      name: `${kind} with targets`,
      scheduler,
      from: encoded,
      inputs: [attachments],
      compute: ({ resource, targets }, _, fetch): WaypointEntry | undefined => {
        if (targets.everyWaypoint) return { resource, audience: 'all' };
        const attached = targets.services.flatMap((service) => fetch.get(attachments, service) ?? []);
        const audience = audienceOf([...targets.gateways, ...attached]);
        return audience.length === 0 ? undefined : { resource, audience };
      },
      equals: (a, b) => sameResource(a.resource, b.resource) && sameAudience(a.audience, b.audience),
    });
  };
  return {
    AuthorizationPolicy: entriesOf(
      'AuthorizationPolicy',
      inputs.authorizationPolicies,
      waypointAuthorization,
    ),
    RequestAuthentication: entriesOf(
      'RequestAuthentication',
      inputs.requestAuthentications,
      waypointRequestAuthentication,
    ),
  };
}
