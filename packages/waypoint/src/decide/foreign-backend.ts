/**
 * Whether a route may lead where it does: one into another namespace, one that clients have written for themselves, or a
 * VirtualService of the waypoint's namespace, only past the policies of the service there, as far as this waypoint has them.
 * The endpoint sees the waypoint, and lets it through because it asks them: whoever may write a route elsewhere would get
 * past them otherwise. They are asked about what is sent there, since the same hand wrote the filters that change it. Where
 * a service's own namespace leads to another of its services, nobody is asked, as in Istio. Pure.
 */
import { type ServiceKey, splitServiceKey } from '@ambit/model/address';
import type { PathNormalization } from '../resources/mesh-settings.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { AuthorizationSubject } from './authorization-facts.ts';
import { authorize, externalChecks } from './authorize.ts';
import { forwardedRequest, type RequestChanges } from './filters.ts';
import { normalizePath } from './normalize-path.ts';
import type { Lead } from './route-decision.ts';

/** What applies to the service that a request is for, or to one that a route leads to. */
type Guarded = Pick<PortConfig, 'authorization' | 'authentication'>;

export interface RouteEnd {
  readonly service: ServiceKey;
  readonly port: number;
  readonly config: Guarded;
}

/** Whether whoever wrote the route may have had no say over the service that it leads to. */
export function isForeign(from: ServiceKey, { backend, consumerNamespace, authorNamespace }: Lead): boolean {
  if (consumerNamespace !== undefined) return true;
  const to = backend.to.service;
  if (from === to && authorNamespace === undefined) return false;
  const there = namespaceOf(to);
  return namespaceOf(from) !== there || (authorNamespace !== undefined && authorNamespace !== there);
}

/**
 * Whose word keeps the subject out: the key of a policy, `none` if no ALLOW matches; `undefined`: it may go there.
 *
 * A service that authorizes is not asked about a backend, so where one would have to be that was not asked before, nobody
 * passes.
 *
 * @param asked - As the policies of `from` were asked. @param sent - As it goes to `to`.
 */
export function foreignRefusal(
  from: RouteEnd,
  to: RouteEnd,
  asked: AuthorizationSubject,
  sent: AuthorizationSubject,
): string | undefined {
  const { authorization, authentication } = to.config;
  // Whoever wrote other ways of believing tokens wrote them for another service.
  const isTokenBelieved = from.config.authentication.every((one) => authentication.includes(one));
  const { connection } = sent;
  const there: AuthorizationSubject = {
    ...sent,
    connection: { ...connection, destination: { ...connection.destination, port: to.port } },
    token: isTokenBelieved ? sent.token : undefined,
  };
  const before = new Set(
    externalChecks(from.config.authorization, asked).flatMap(({ policies }) => policies),
  );
  const custom = authorization.custom.filter(({ key }) => !before.has(key));
  const [check] = externalChecks({ ...authorization, custom }, there);
  if (check) return check.policies[0] ?? check.provider;
  const verdict = authorize(authorization, there);
  if (verdict.kind === 'allow') return undefined;
  return verdict.kind === 'no-allow-matched' ? 'none' : verdict.by;
}

/** What goes to the endpoint, with its path in the form in which policies see paths; `undefined`: it has none. */
export function subjectSent(
  changes: RequestChanges,
  subject: AuthorizationSubject,
  normalization: PathNormalization,
): AuthorizationSubject | undefined {
  if (!subject.request) return subject;
  const sent = forwardedRequest(changes, subject.request);
  const normalized = normalizePath(normalization, sent.path);
  if (normalized.kind === 'refuse') return undefined;
  return { ...subject, request: { ...subject.request, ...sent, path: normalized.path } };
}

function namespaceOf(service: ServiceKey): string {
  return splitServiceKey(service)?.namespace ?? '';
}
