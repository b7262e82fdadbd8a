/** Lets a waypoint through to the workloads behind it, whatever their other ALLOW policies say. Pure. */
import {
  Action,
  type Authorization,
  createAuthorization,
  createMatch,
  Scope,
} from '@ambit/api/authorization';
import type { Waypoint } from './waypoint.ts';

/** `_` stands in no name of Kubernetes, so no user's policy has this one. */
function waypointPolicyName({ namespace, name }: Pick<Waypoint, 'namespace' | 'name'>): string {
  return `istio_allow_waypoint_${namespace}_${name}`;
}

/** @param accounts - Of the waypoint's pods; sorted, at least one. */
export function allowWaypoint(
  waypoint: Pick<Waypoint, 'namespace' | 'name'>,
  accounts: readonly string[],
  trustDomain: string,
): Authorization {
  const { namespace } = waypoint;
  const principals = accounts.map((account) => ({
    matchType: { $case: 'exact' as const, value: `${trustDomain}/ns/${namespace}/sa/${account}` },
  }));
  return createAuthorization({
    name: waypointPolicyName(waypoint),
    namespace,
    scope: Scope.WORKLOAD_SELECTOR,
    action: Action.ALLOW,
    rules: [{ clauses: [{ matches: [createMatch({ principals })] }] }],
  });
}
