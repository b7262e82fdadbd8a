/** Users' policies with targets, and what counts for all waypoints of a namespace → what waypoints are sent. */
import type { WaypointFields, WaypointResources } from '@ambit/api/waypoint';
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { ONLY } from '@ambit/collections/singleton';
import type { KubeObject } from '@ambit/kube/resource';
import type { PolicyTargetReference } from '@ambit/kube/resources/security';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import { targetsOf } from '../translate/policy-targets.ts';
import { waypointAuthorization } from '../translate/waypoint-policies/authorization-policy.ts';
import { waypointRequestAuthentication } from '../translate/waypoint-policies/request-authentication.ts';
import { NO_TARGETS, policyTargets, type Targets } from '../translate/waypoint-policies/targets.ts';
import { waypointTelemetry } from '../translate/waypoint-policies/telemetry.ts';
import type { TrustDomains } from '../translate/waypoint-policies/trust-domains.ts';
import { waypointKey } from '../translate/waypoint.ts';
import type { Attachments } from './attachments.ts';
import { audienceOf, sameAudience } from './audience.ts';
import type { Catalogs } from './catalog.ts';
import type { GraphContext } from './context.ts';
import type { Waypoints } from './waypoints.ts';

type Kind = 'AuthorizationPolicy' | 'RequestAuthentication' | 'Telemetry';

export type TargetedPolicies = Readonly<Record<Kind, Collection<string, WaypointEntry>>>;

interface Targeted extends KubeObject {
  readonly spec?: {
    readonly selector?: unknown;
    readonly targetRef?: PolicyTargetReference;
    readonly targetRefs?: readonly PolicyTargetReference[];
  };
}

export function deriveTargetedPolicies(
  { inputs, meshConfig, settings, scheduler }: GraphContext,
  catalogs: Catalogs,
  attachments: Attachments,
  waypoints: Waypoints,
): TargetedPolicies {
  const { rootNamespace, trustDomain } = settings;
  const byNamespace = new IndexCollection({
    name: 'waypoints by namespace',
    scheduler,
    from: waypoints.all,
    keysOf: ({ namespace }) => [namespace],
  });
  const attachedByNamespace = new IndexCollection({
    name: 'waypoints by namespace of what they serve',
    scheduler,
    from: attachments,
    keysOf: (_, service) => [service.slice(0, service.indexOf('/'))],
  });
  const entriesOf = <T extends Targeted, K extends Kind>(
    kind: K,
    from: Collection<string, T>,
    translate: (
      policy: T,
      targets: Targets,
      domains: TrustDomains,
    ) => WaypointFields<WaypointResources[K]> | undefined,
    forNamespaces = false,
  ): Collection<string, WaypointEntry> => {
    const encoded = derivedValues({
      name: `encoded ${kind} with targets`,
      scheduler,
      from,
      inputs: [...catalogs.inputs, inputs.gatewayClasses, meshConfig],
      compute: (policy, key, fetch) => {
        const { namespace = '' } = policy.metadata;
        const spec: Targeted['spec'] = policy.spec ?? {};
        const references = targetsOf(spec);
        const isForNamespace =
          forNamespaces &&
          references.length === 0 &&
          [spec.selector, spec.targetRef, spec.targetRefs].every(isAbsent);
        if (references.length === 0 && !isForNamespace) return undefined;
        const targets = isForNamespace
          ? { ...NO_TARGETS, everyWaypoint: namespace === rootNamespace }
          : policyTargets(references, namespace, {
              catalog: catalogs.with(fetch),
              classController: (name) => fetch.get(inputs.gatewayClasses, name)?.spec?.controllerName,
              rootNamespace,
            });
        const aliases = fetch.get(meshConfig, ONLY)?.trustDomainAliases ?? [];
        const fields = translate(policy, targets, { trustDomain, aliases });
        const ofNamespace = isForNamespace ? namespace : undefined;
        return fields && { resource: waypointResource(kind, key, fields), targets, ofNamespace };
      },
      equals: (a, b) => sameResource(a.resource, b.resource),
    });
    return derivedValues({
      name: `${kind} with targets`,
      scheduler,
      from: encoded,
      inputs: [attachments, byNamespace, attachedByNamespace],
      compute: ({ resource, targets, ofNamespace }, _, fetch): WaypointEntry | undefined => {
        if (targets.everyWaypoint) return { resource, audience: 'all' };
        const there =
          ofNamespace === undefined
            ? []
            : [
                ...fetch.group(byNamespace, ofNamespace).map(waypointKey),
                ...fetch.group(attachedByNamespace, ofNamespace).flat(),
              ];
        const attached = targets.services.flatMap((service) => fetch.get(attachments, service) ?? []);
        const audience = audienceOf([...there, ...targets.gateways, ...attached]);
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
    Telemetry: entriesOf('Telemetry', inputs.telemetries, waypointTelemetry, true),
  };
}

function isAbsent(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}
