/**
 * What is wrong with the objects that are stored, all of them side by side: what their statuses say, and what admission
 * would say of each if it were written now. Pure.
 *
 * Nothing is found out here: each finding is what a user was told, or would be, in another place. One that stands in a
 * status and in a warning is told once.
 */
import type { Collection } from '@ambit/collections/collection';
import type { KubeObject } from '@ambit/kube/resource';
import type { Gateway } from '@ambit/kube/resources/gateway';
import type { Condition } from '@ambit/kube/resources/core';
import type { WantedConditions } from '../derive/conditions.ts';
import { WAYPOINT_CLASS } from '../gateway/decide/management.ts';
import type { Graph } from '../graph.ts';
import type { WantedCondition } from '../translate/condition.ts';
import { ALL_RESOLVED, RESOLVED_WAYPOINTS, type WantedParent } from '../translate/routes/route-status.ts';
import { WAYPOINT_MISSING } from '../translate/waypoint-status.ts';
import { adviceOn, findingsFor, type ReviewContext } from '../webhook/review.ts';

export interface ObjectFinding {
  readonly kind: string;
  /** Empty for what is in none. */
  readonly namespace: string;
  readonly name: string;
  /** `error`: it does not do what it says. `warning`: it does, and that may not be what was meant. */
  readonly level: 'error' | 'warning';
  /** One word: the reason of a condition, `Invalid`, or `Advice`. */
  readonly reason: string;
  readonly message: string;
}

export type FindingSources = Pick<Graph, 'inputs' | 'conditions' | 'routeStatuses' | 'backendTlsStatuses'>;

/** What is said of one object in its status. */
type StatusOf = (key: string) => readonly ConditionSaid[];
type ConditionSaid = Pick<WantedCondition, 'type' | 'isTrue' | 'reason' | 'message'>;

interface Kind {
  readonly kind: string;
  readonly objects: Collection<string, KubeObject>;
  readonly status: StatusOf;
}

/**
 * Object by object, so that whoever asks for many can let others have their turn in between.
 *
 * @param namespace - Only what is in it, and itself; `undefined`: everything.
 */
export function* objectFindings(
  sources: FindingSources,
  context: ReviewContext,
  namespace?: string,
): Generator<readonly ObjectFinding[]> {
  for (const { kind, objects, status } of kindsOf(sources)) {
    for (const [key, object] of [...objects.entries()]) {
      const of = kind === 'Namespace' ? object.metadata.name : object.metadata.namespace;
      if (namespace !== undefined && of !== namespace) continue;
      yield findingsOf(kind, object, status(key), context);
    }
  }
}

function findingsOf(
  kind: string,
  object: KubeObject,
  conditions: readonly ConditionSaid[],
  context: ReviewContext,
): readonly ObjectFinding[] {
  const { namespace = '', name } = object.metadata;
  const said = conditions.flatMap((condition) => {
    const level = levelOf(condition);
    const { reason, message } = condition;
    return level === undefined ? [] : [{ level, reason, message }];
  });
  const isSaid = (text: string) =>
    said.some(({ message }) => message.includes(text) || text.includes(message));
  const { errors, refusals, warnings } = findingsFor(object, kind, context.settings);
  const wrong = [...errors, ...refusals].map(
    (message) => ({ level: 'error', reason: 'Invalid', message }) as const,
  );
  const advice = errors.length > 0 ? [] : adviceOn(object, kind, context.world);
  const doubtful = [...warnings, ...advice].map(
    (message) => ({ level: 'warning', reason: 'Advice', message }) as const,
  );
  return [...said, ...[...wrong, ...doubtful].filter(({ message }) => !isSaid(message))].map((finding) => ({
    kind,
    namespace,
    name,
    ...finding,
  }));
}

/** `undefined`: all is well, as far as this condition goes. */
function levelOf({ type, isTrue, reason, message }: ConditionSaid): ObjectFinding['level'] | undefined {
  // True whatever it says: see translate/routes/route-status.ts.
  if (type === RESOLVED_WAYPOINTS) return message === ALL_RESOLVED ? undefined : 'warning';
  if (type === WAYPOINT_MISSING) return isTrue ? 'error' : undefined;
  if (isTrue) return reason === 'PartiallyInvalid' || reason === 'ListenersNotValid' ? 'warning' : undefined;
  return 'error';
}

function kindsOf({ inputs, conditions, routeStatuses, backendTlsStatuses }: FindingSources): readonly Kind[] {
  const of =
    (...all: readonly WantedConditions[]): StatusOf =>
    (key) =>
      all.flatMap((each) => each.get(key) ?? []);
  const entries =
    (all: Collection<string, readonly WantedParent[]>): StatusOf =>
    (key) =>
      (all.get(key) ?? []).flatMap((parent) => parent.conditions);
  const { ofPoliciesAtZtunnels, ofPoliciesAtWaypoints } = conditions;
  return [
    { kind: 'Namespace', objects: inputs.namespaces, status: of() },
    { kind: 'Pod', objects: inputs.pods, status: of() },
    {
      kind: 'Gateway',
      objects: inputs.gateways,
      status: (key) => gatewayConditions(inputs.gateways.get(key)),
    },
    { kind: 'Service', objects: inputs.services, status: of(conditions.ofServices) },
    { kind: 'ServiceEntry', objects: inputs.serviceEntries, status: of(conditions.ofServiceEntries) },
    { kind: 'WorkloadEntry', objects: inputs.workloadEntries, status: of(conditions.ofWorkloadEntries) },
    {
      kind: 'AuthorizationPolicy',
      objects: inputs.authorizationPolicies,
      status: of(ofPoliciesAtZtunnels, ofPoliciesAtWaypoints),
    },
    { kind: 'PeerAuthentication', objects: inputs.peerAuthentications, status: of() },
    {
      kind: 'RequestAuthentication',
      objects: inputs.requestAuthentications,
      status: of(conditions.ofRequestAuthentications),
    },
    { kind: 'HTTPRoute', objects: inputs.httpRoutes, status: entries(routeStatuses.HTTPRoute) },
    { kind: 'GRPCRoute', objects: inputs.grpcRoutes, status: entries(routeStatuses.GRPCRoute) },
    { kind: 'TCPRoute', objects: inputs.tcpRoutes, status: entries(routeStatuses.TCPRoute) },
    { kind: 'TLSRoute', objects: inputs.tlsRoutes, status: entries(routeStatuses.TLSRoute) },
    { kind: 'VirtualService', objects: inputs.virtualServices, status: of(conditions.ofVirtualServices) },
    { kind: 'DestinationRule', objects: inputs.destinationRules, status: of(conditions.ofDestinationRules) },
    { kind: 'BackendTLSPolicy', objects: inputs.backendTlsPolicies, status: entries(backendTlsStatuses) },
    { kind: 'Telemetry', objects: inputs.telemetries, status: of() },
  ];
}

/** Of others of a Gateway, False may be what is well. */
const OF_GATEWAYS: readonly string[] = ['Accepted', 'Programmed', 'ResolvedRefs'];

/** Another replica may be the one that makes waypoints and writes this, so it is taken from the object. */
function gatewayConditions(gateway: Gateway | undefined): readonly ConditionSaid[] {
  if (gateway?.spec?.gatewayClassName !== WAYPOINT_CLASS) return [];
  return (gateway.status?.conditions ?? [])
    .filter(({ type }) => OF_GATEWAYS.includes(type))
    .map(({ type, status, reason = '', message = '' }: Condition) => ({
      type,
      isTrue: status !== 'False',
      reason,
      message,
    }));
}
