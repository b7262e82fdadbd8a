/** `AuthorizationPolicy` of security.istio.io: who may connect to what. */
import { selector, strings, targetRef, targetRefs } from './common.ts';
import { list, object, oneOf, text } from './openapi.ts';

const source = object(
  {
    principals: strings('Identities, without spiffe://; * at either end matches any text.'),
    notPrincipals: strings('Identities that do not match.'),
    requestPrincipals: strings('Issuer and subject of a JWT. Needs a waypoint.'),
    notRequestPrincipals: strings('Issuer and subject of a JWT that do not match. Needs a waypoint.'),
    namespaces: strings('Namespaces of the peer, from its identity.'),
    notNamespaces: strings('Namespaces that do not match.'),
    serviceAccounts: strings('namespace/name, or a name in the namespace of the policy.'),
    notServiceAccounts: strings('Service accounts that do not match.'),
    ipBlocks: strings('Addresses or CIDR blocks of the TCP peer.'),
    notIpBlocks: strings('Addresses or CIDR blocks that do not match.'),
    remoteIpBlocks: strings('Addresses from X-Forwarded-For. Needs a waypoint.'),
    notRemoteIpBlocks: strings('Addresses from X-Forwarded-For that do not match. Needs a waypoint.'),
    trustDomains: strings('Trust domains of the peer. Needs a waypoint.'),
    notTrustDomains: strings('Trust domains that do not match. Needs a waypoint.'),
  },
  { description: 'All the given fields must match.' },
);

const operation = object(
  {
    hosts: strings('HTTP hosts. Needs a waypoint.'),
    notHosts: strings('HTTP hosts that do not match. Needs a waypoint.'),
    ports: strings('Port numbers of the workload.'),
    notPorts: strings('Port numbers that do not match.'),
    methods: strings('HTTP methods. Needs a waypoint.'),
    notMethods: strings('HTTP methods that do not match. Needs a waypoint.'),
    paths: strings('HTTP paths. Needs a waypoint.'),
    notPaths: strings('HTTP paths that do not match. Needs a waypoint.'),
  },
  { description: 'All the given fields must match.' },
);

const condition = object(
  {
    key: text(
      'What to look at: source.ip, source.namespace, source.principal, destination.ip, destination.port; others need a waypoint.',
    ),
    values: strings('One of these must match.'),
    notValues: strings('None of these may match.'),
  },
  { required: ['key'] },
);

const rule = object(
  {
    from: list(object({ source }), 'One of these sources must match.'),
    to: list(object({ operation }), 'One of these operations must match.'),
    when: list(condition, 'All of these conditions must hold.'),
  },
  { description: 'Matches when from, to and when all match; what is absent matches.' },
);

export const ACTIONS = ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM'] as const;

export const authorizationPolicySpec = object({
  selector,
  targetRef,
  targetRefs,
  action: oneOf(ACTIONS, 'What a matching rule means. Default ALLOW.'),
  provider: object({ name: text('Who decides, for CUSTOM.') }),
  rules: list(rule, 'One of these must match. An ALLOW policy without rules allows nothing.'),
});
