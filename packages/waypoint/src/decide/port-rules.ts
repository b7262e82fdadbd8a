/** What has to be known of a port's traffic before its rules can be applied. Pure. */
import {
  type AuthorizationCondition,
  type AuthorizationPolicy,
  HTTP_ATTRIBUTES,
} from '../resources/authorization-policy.ts';
import type { PortConfig } from '../resources/snapshot.ts';

interface PortRules {
  readonly aboutRequests: boolean;
  readonly aboutNames: boolean;
}

const known = new WeakMap<PortConfig, PortRules>();

/** Routes, tokens, or policies about requests: a client must not get past them by looking like something else. */
export function hasHttpRules(config: PortConfig): boolean {
  return rulesOf(config).aboutRequests;
}

/** Routes or policies about the name that a TLS client asks for: nor past these by asking late. */
export function hasNameRules(config: PortConfig): boolean {
  return rulesOf(config).aboutNames;
}

function rulesOf(config: PortConfig): PortRules {
  const rules = known.get(config) ?? findRules(config);
  known.set(config, rules);
  return rules;
}

function findRules({ http, streams, authentication, authorization }: PortConfig): PortRules {
  const { custom, deny, allow } = authorization;
  const policies = [...custom, ...deny, ...allow];
  return {
    aboutRequests:
      http.producer !== undefined ||
      http.consumers.size > 0 ||
      authentication.length > 0 ||
      policies.some((policy) => looksAt(policy, ({ test }) => HTTP_ATTRIBUTES.has(test.attribute))),
    aboutNames:
      streams.some(({ rules }) => rules.some(({ tls }) => tls)) ||
      policies.some((policy) => looksAt(policy, ({ test }) => test.attribute === 'sni')),
  };
}

function looksAt(
  { rules }: AuthorizationPolicy,
  isMeant: (condition: AuthorizationCondition) => boolean,
): boolean {
  return rules.some(({ from, to, when }) => [...from, ...to, when].some((all) => all.some(isMeant)));
}
