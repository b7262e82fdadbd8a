/** The cluster as the control plane knows it, for admission. */
import type { Fetch } from '@ambit/collections/fetch';
import type { Pod } from '@ambit/kube/resources/core';
import { targetState } from '../derive/targets.ts';
import { WAYPOINT_CLASS } from '../gateway/decide/management.ts';
import type { Graph } from '../graph.ts';
import type { Inputs } from '../inputs.ts';
import { isLive } from '../translate/pod.ts';
import type { MeshSettings } from '../translate/settings.ts';
import { GATEWAY_NAME_LABEL, waypointKey } from '../translate/waypoint.ts';
import { resolveWaypoint } from '../translate/waypoint-binding.ts';
import { MODE_LABEL } from '../validate/advice.ts';
import type { PodFacts, World } from '../validate/world.ts';

/** Looks and depends on nothing: an answer is for this moment. */
const look: Pick<Fetch, 'get'> = { get: (from, key) => from.get(key) };

export function clusterWorld(
  inputs: Inputs,
  {
    waypoints,
    gatewayInstances,
    serviceEntries,
    settings: { meshConfig },
  }: Pick<Graph, 'waypoints' | 'gatewayInstances' | 'serviceEntries' | 'settings'>,
  settings: MeshSettings,
): World {
  const isEnrolled = (namespace: string) =>
    inputs.namespaces.get(namespace)?.metadata.labels?.[MODE_LABEL] === 'ambient';
  const factsOf = ({ metadata, spec }: Pod): PodFacts => {
    const { namespace = '', labels } = metadata;
    const mode = labels?.[MODE_LABEL];
    const account = spec?.serviceAccountName ?? 'default';
    const gateway = waypointKey({ namespace, name: labels?.[GATEWAY_NAME_LABEL] ?? '' });
    if (inputs.gateways.get(gateway)?.spec?.gatewayClassName === WAYPOINT_CLASS)
      return { namespace, labels, account, isInMesh: true, isWaypoint: true };
    const isMeant = mode === 'ambient' || (mode !== 'none' && isEnrolled(namespace));
    const isInMesh = isMeant && spec?.hostNetwork !== true;
    return { namespace, labels, account, isInMesh, isWaypoint: waypoints.all.get(gateway) !== undefined };
  };
  return {
    rootNamespace: settings.rootNamespace,
    trustDomain: settings.trustDomain,
    l7WithoutWaypoint: settings.l7WithoutWaypoint,
    autoAllowWaypoints: settings.autoAllowWaypoints === true,
    hasNamespace: (name) => inputs.namespaces.has(name),
    hasAuthorizer: (name) =>
      (meshConfig.value?.extensionProviders ?? []).some(
        (provider) =>
          provider.name === name && Boolean(provider.envoyExtAuthzHttp ?? provider.envoyExtAuthzGrpc),
      ),
    isEnrolled,
    *pods(namespace) {
      for (const pod of inputs.pods.values())
        if ((namespace === undefined || pod.metadata.namespace === namespace) && isLive(pod))
          yield factsOf(pod);
    },
    services: () => inputs.services.values(),
    authorizationPolicies: () => inputs.authorizationPolicies.values(),
    accountsOf: (waypoint) =>
      new Set((gatewayInstances.get(waypointKey(waypoint)) ?? []).map(({ account }) => account)),
    target: (kind, namespace, name) => targetState(inputs, waypoints, look, { kind, namespace, name }),
    isAllottedOutside: (namespace, ip) =>
      (serviceEntries.claims.get(ip) ?? []).some(
        (entry) => entry.namespace !== namespace && [...entry.allotted.values()].flat().includes(ip),
      ),
    waypointsIn: (namespace) =>
      [...waypoints.all.values()].filter((each) => each.namespace === namespace).map(waypointKey),
    binding: (of, namespace, object, namespaceObject) =>
      resolveWaypoint({
        of,
        namespace,
        object,
        namespaceObject: namespaceObject ?? inputs.namespaces.get(namespace)?.metadata,
        waypoint: (key) => waypoints.all.get(key),
      }),
  };
}
