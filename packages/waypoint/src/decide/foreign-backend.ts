/**
 * Whether a route may lead into another namespace: only past the policies of the service there, as far as this waypoint has
 * them. The endpoint sees the waypoint, and lets it through because it asks them: whoever may write a route elsewhere would
 * get past them otherwise. Within one namespace nobody is asked, as in Istio. Pure.
 */
import { type ServiceKey, splitServiceKey } from '@ambit/model/address';
import type { PortConfig } from '../resources/snapshot.ts';
import type { AuthorizationSubject } from './authorization-facts.ts';
import { authorize, externalChecks } from './authorize.ts';

/** What applies to the service that a request is for, or to one that a route leads to. */
type Guarded = Pick<PortConfig, 'authorization' | 'authentication'>;

export interface RouteEnd {
  readonly service: ServiceKey;
  readonly port: number;
  readonly config: Guarded;
}

/**
 * Whose word keeps the subject out: the key of a policy, `none` if no ALLOW matches; `undefined`: it may go there.
 *
 * A service that authorizes is not asked about a backend, so where one would have to be, nobody passes.
 */
export function foreignRefusal(
  from: RouteEnd,
  to: RouteEnd,
  subject: AuthorizationSubject,
): string | undefined {
  if (namespaceOf(from.service) === namespaceOf(to.service)) return undefined;
  const { authorization, authentication } = to.config;
  // Whoever wrote other ways of believing tokens wrote them for another service.
  const isTokenBelieved = from.config.authentication.every((one) => authentication.includes(one));
  const { connection } = subject;
  const there: AuthorizationSubject = {
    ...subject,
    connection: { ...connection, destination: { ...connection.destination, port: to.port } },
    token: isTokenBelieved ? subject.token : undefined,
  };
  const asked = from.config.authorization.custom;
  const custom = authorization.custom.filter((policy) => !asked.includes(policy));
  const [check] = externalChecks({ ...authorization, custom }, there);
  if (check) return check.policies[0] ?? check.provider;
  const verdict = authorize(authorization, there);
  if (verdict.kind === 'allow') return undefined;
  return verdict.kind === 'no-allow-matched' ? 'none' : verdict.by;
}

function namespaceOf(service: ServiceKey): string {
  return splitServiceKey(service)?.namespace ?? '';
}
