/**
 * A resource of any kind from its bytes. Never throws: what cannot be read is told, together with what must refuse in its
 * place.
 */
import {
  decodeWaypointResource,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import { messageOf } from '@ambit/core/errors';
import type { AuthorizationPolicy } from '../authorization-policy.ts';
import type { DestinationPolicy } from '../destination-policy.ts';
import { NO_TRAFFIC_POLICY } from '../destination-policy.ts';
import type { HttpRoute } from '../http-route.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import type { Origin } from '../origin.ts';
import type { PolicyTarget } from '../policy-target.ts';
import type { RequestAuthentication } from '../request-authentication.ts';
import type { ServicePort } from '../service-port.ts';
import type { StreamRoute } from '../stream-route.ts';
import type { Telemetry } from '../telemetry.ts';
import { authorizationPolicyOf } from './authorization-policy.ts';
import { destinationPolicyOf } from './destination-policy.ts';
import { httpRouteOf } from './http-route.ts';
import { meshSettingsOf } from './mesh-settings.ts';
import { originOf, parentsOf, targetsOf } from './read.ts';
import { requestAuthenticationOf } from './request-authentication.ts';
import { streamRouteOf } from './stream-route.ts';
import { telemetryOf } from './telemetry.ts';

/** The value of each kind. */
export interface ResourceValues {
  readonly MeshSettings: MeshSettings;
  readonly HttpRoute: HttpRoute;
  readonly StreamRoute: StreamRoute;
  readonly DestinationPolicy: DestinationPolicy;
  readonly AuthorizationPolicy: AuthorizationPolicy;
  readonly RequestAuthentication: RequestAuthentication;
  readonly Telemetry: Telemetry;
}

export type Decoded<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  /** `refusing` stands in its place; `undefined`: nothing can, so the last readable version stays, if there is one. */
  | { readonly kind: 'problem'; readonly problem: string; readonly refusing: Value | undefined };

interface Reader<Kind extends WaypointResourceKind> {
  /** @throws {@link Problem} */
  read(name: string, message: WaypointResources[Kind]): ResourceValues[Kind];
  /** @param message - `undefined`: the bytes are no message at all. @param held - The version before. */
  refuse(
    name: string,
    message: WaypointResources[Kind] | undefined,
    problem: string,
    held: ResourceValues[Kind] | undefined,
  ): ResourceValues[Kind] | undefined;
}

const READERS: { readonly [Kind in WaypointResourceKind]: Reader<Kind> } = {
  MeshSettings: { read: (_, message) => meshSettingsOf(message), refuse: () => undefined },
  Telemetry: { read: telemetryOf, refuse: () => undefined },
  HttpRoute: {
    read: httpRouteOf,
    refuse: (name, message, problem, held) => ({
      name,
      origin: originFrom(name, message),
      parents: parentsFrom(message, held?.parents),
      inOrder: message?.inOrder ?? held?.inOrder ?? false,
      grpc: message?.grpc ?? held?.grpc ?? false,
      hedgeAfterMs: undefined,
      rules: [],
      unreadable: problem,
      consumerNamespace: message?.consumerNamespace || held?.consumerNamespace,
    }),
  },
  StreamRoute: {
    read: streamRouteOf,
    refuse: (name, message, problem, held) => ({
      name,
      origin: originFrom(name, message),
      parents: parentsFrom(message, held?.parents),
      rules: [],
      unreadable: problem,
      consumerNamespace: message?.consumerNamespace || held?.consumerNamespace,
    }),
  },
  DestinationPolicy: {
    read: destinationPolicyOf,
    refuse: (name, message, problem, held) => {
      const hostname = message?.hostname.toLowerCase() || held?.hostname;
      if (hostname === undefined) return undefined;
      return {
        name,
        origin: originFrom(name, message),
        hostname,
        serviceNamespace: message?.serviceNamespace || held?.serviceNamespace,
        policy: NO_TRAFFIC_POLICY,
        ports: new Map(),
        subsets: new Map(),
        unreadable: problem,
      };
    },
  },
  AuthorizationPolicy: {
    read: authorizationPolicyOf,
    refuse: (key, message, problem, held) => ({
      key,
      origin: originFrom(key, message),
      targets: targetsFrom(message, held?.targets),
      action: 'DENY',
      provider: '',
      rules: [],
      dryRun: message?.dryRun ?? false,
      unreadable: problem,
    }),
  },
  RequestAuthentication: {
    read: requestAuthenticationOf,
    refuse: (key, message, problem, held) => ({
      key,
      origin: originFrom(key, message),
      targets: targetsFrom(message, held?.targets),
      rules: [],
      unreadable: problem,
    }),
  },
};

export function decodeResource<Kind extends WaypointResourceKind>(
  kind: Kind,
  name: string,
  bytes: Uint8Array,
  held: ResourceValues[Kind] | undefined,
): Decoded<ResourceValues[Kind]> {
  const reader: Reader<Kind> = READERS[kind];
  let message: WaypointResources[Kind] | undefined;
  try {
    message = decodeWaypointResource(kind, bytes);
    return { kind: 'value', value: reader.read(name, message) };
  } catch (error) {
    const problem = messageOf(error);
    return { kind: 'problem', problem, refusing: reader.refuse(name, message, problem, held) };
  }
}

/** Where the message does not say, the name does: `namespace/name`, or `KIND/namespace/name`. */
function originFrom(
  name: string,
  message: { readonly origin: Parameters<typeof originOf>[0] } | undefined,
): Origin {
  try {
    if (message) return originOf(message.origin);
  } catch {
    // Told by the problem that led here.
  }
  const parts = name.split('/');
  return { kind: parts.at(-3) ?? '', namespace: parts.at(-2) ?? '', name: parts.at(-1) ?? '', createdMs: 0 };
}

/** Those that can be read. A route of which none can applies to nothing: nobody can say whom it would have served. */
function parentsFrom(
  message: { readonly parents: Parameters<typeof parentsOf>[0] } | undefined,
  held: readonly ServicePort[] | undefined,
): readonly ServicePort[] {
  try {
    return message ? parentsOf(message.parents) : (held ?? []);
  } catch {
    return held ?? [];
  }
}

/** Those that can be read; a policy of which none can applies to everything. */
function targetsFrom(
  message: { readonly targets: Parameters<typeof targetsOf>[0] } | undefined,
  held: readonly PolicyTarget[] | undefined,
): readonly PolicyTarget[] {
  const everything: readonly PolicyTarget[] = [{ kind: 'all-waypoints' }];
  try {
    const targets = message ? targetsOf(message.targets) : [];
    return targets.length > 0 ? targets : (held ?? everything);
  } catch {
    return everything;
  }
}
