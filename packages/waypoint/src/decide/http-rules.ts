/** Whether anything is asked of a port's traffic that only HTTP can answer. Pure. */
import {
  type AuthorizationCondition,
  type AuthorizationPolicy,
  HTTP_ATTRIBUTES,
} from '../resources/authorization-policy.ts';
import type { PortConfig } from '../resources/snapshot.ts';

const known = new WeakMap<PortConfig, boolean>();

/** Routes, tokens, or policies about requests: a client must not get past them by looking like something else. */
export function hasHttpRules(config: PortConfig): boolean {
  let has = known.get(config);
  if (has === undefined) {
    has = findHttpRules(config);
    known.set(config, has);
  }
  return has;
}

function findHttpRules({ http, authentication, authorization }: PortConfig): boolean {
  const { custom, deny, allow } = authorization;
  return (
    http.producer !== undefined ||
    http.consumers.size > 0 ||
    authentication.length > 0 ||
    [...custom, ...deny, ...allow].some(isAboutRequests)
  );
}

function isAboutRequests({ rules }: AuthorizationPolicy): boolean {
  return rules.some(({ from, to, when }) => [...from, ...to, when].some((all) => all.some(isHttpCondition)));
}

function isHttpCondition({ test }: AuthorizationCondition): boolean {
  return HTTP_ATTRIBUTES.has(test.attribute);
}
