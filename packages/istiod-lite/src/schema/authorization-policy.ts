/**
 * `AuthorizationPolicy` of security.istio.io: who may connect to what.
 *
 * The API server estimates what a rule in CEL may cost at most, and refuses a definition above its budget. Within rules
 * and sources, which may be many, it affords no walk through a list: there rules look at the first value, which is
 * where a mistake that runs through a list shows. The webhook looks at all.
 */
import { oneAttachment, selector, strings, targetRef, targetRefs } from './common.ts';
import {
  list,
  object,
  oneOf,
  type StructuralSchema,
  text,
  type ValidationRule,
  withRules,
} from './openapi.ts';

/** As many as Istio allows. */
const MAX_PARTS = 512;
/** `from` and `to` of a rule, its conditions, and the rules. */
const parts = (items: StructuralSchema, description: string): StructuralSchema => ({
  ...list(items, description),
  maxItems: MAX_PARTS,
});

/** A list that is there must say something: an empty one, and an empty text, are most often a template gone wrong. */
const some = (description: string, items: Parameters<typeof text>[1] = {}): StructuralSchema => ({
  ...strings(description, text(undefined, { minLength: 1, ...items })),
  minItems: 1,
});

/** The longest form of an IPv6 address, with a prefix length. */
const MAX_BLOCK_CHARS = 49;
const blocks = (description: string) =>
  some(description, { maxLength: MAX_BLOCK_CHARS, pattern: '^[0-9a-fA-F:.]+(/[0-9]{1,3})?$' });
/** A port from 1 to 65535. */
const PORT = '^0{0,4}([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$';
const ports = (description: string) => some(description, { maxLength: 5, pattern: PORT });

const portsRule = (name: string): ValidationRule => ({
  rule: `!has(self.${name}) || self.${name}.size() == 0 || (self.${name}[0].matches('^[0-9]+$') && int(self.${name}[0]) >= 1 && int(self.${name}[0]) <= 65535)`,
  message: `${name}: must be port numbers from 1 to 65535; a port of a Service has another number, or a name`,
  fieldPath: `.${name}`,
});

const withoutScheme = (name: string): ValidationRule => ({
  rule: `!has(self.${name}) || self.${name}.size() == 0 || !self.${name}[0].startsWith('spiffe://')`,
  message: `${name}: identities are written without spiffe://; with it they never match`,
  fieldPath: `.${name}`,
});

const source = withRules(
  object(
    {
      principals: some('Identities, without spiffe://; * at either end matches any text.'),
      notPrincipals: some('Identities that do not match.'),
      requestPrincipals: some('Issuer and subject of a JWT. Needs a waypoint.'),
      notRequestPrincipals: some('Issuer and subject of a JWT that do not match. Needs a waypoint.'),
      namespaces: some('Namespaces of the peer, from its identity.'),
      notNamespaces: some('Namespaces that do not match.'),
      serviceAccounts: some('namespace/name, or a name in the namespace of the policy.'),
      notServiceAccounts: some('Service accounts that do not match.'),
      ipBlocks: blocks('Addresses or CIDR blocks of the TCP peer.'),
      notIpBlocks: blocks('Addresses or CIDR blocks that do not match.'),
      remoteIpBlocks: blocks('Addresses from X-Forwarded-For. Needs a waypoint.'),
      notRemoteIpBlocks: blocks('Addresses from X-Forwarded-For that do not match. Needs a waypoint.'),
      trustDomains: some('Trust domains of the peer. Needs a waypoint.'),
      notTrustDomains: some('Trust domains that do not match. Needs a waypoint.'),
    },
    { description: 'All the given fields must match.', minProperties: 1 },
  ),
  {
    rule: '!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))',
    message: 'serviceAccounts cannot be joined with principals or namespaces',
  },
  withoutScheme('principals'),
  withoutScheme('notPrincipals'),
);

const operation = withRules(
  object(
    {
      hosts: some('HTTP hosts. Needs a waypoint.'),
      notHosts: some('HTTP hosts that do not match. Needs a waypoint.'),
      ports: ports('Port numbers of the workload.'),
      notPorts: ports('Port numbers that do not match.'),
      methods: some('HTTP methods. Needs a waypoint.'),
      notMethods: some('HTTP methods that do not match. Needs a waypoint.'),
      paths: some('HTTP paths. Needs a waypoint.'),
      notPaths: some('HTTP paths that do not match. Needs a waypoint.'),
    },
    { description: 'All the given fields must match.', minProperties: 1 },
  ),
  portsRule('ports'),
  portsRule('notPorts'),
);

const condition = withRules(
  object(
    {
      key: text(
        'What to look at: source.ip, source.namespace, source.principal, destination.ip, destination.port; others need a waypoint.',
      ),
      values: some('One of these must match.'),
      notValues: some('None of these may match.'),
    },
    { required: ['key'] },
  ),
  {
    rule: "self.key.startsWith('source.') || self.key.startsWith('destination.') || self.key.startsWith('request.') || self.key == 'remote.ip' || self.key == 'connection.sni' || self.key.startsWith('experimental.')",
    message: 'key: unknown attribute',
    fieldPath: '.key',
  },
  { rule: 'has(self.values) || has(self.notValues)', message: 'must have values or notValues' },
  {
    rule: "self.key != 'source.principal' || !has(self.values) || self.values.size() == 0 || !self.values[0].startsWith('spiffe://')",
    message: 'values: identities are written without spiffe://; with it they never match',
    fieldPath: '.values',
  },
);

const rule = object(
  {
    from: {
      ...parts(object({ source }, { required: ['source'] }), 'One of these sources must match.'),
      minItems: 1,
    },
    to: {
      ...parts(object({ operation }, { required: ['operation'] }), 'One of these operations must match.'),
      minItems: 1,
    },
    when: parts(condition, 'All of these conditions must hold.'),
  },
  { description: 'Matches when from, to and when all match; what is absent matches.' },
);

export const ACTIONS = ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM'] as const;

const IS_CUSTOM = "has(self.action) && self.action == 'CUSTOM'";

export const authorizationPolicySpec = withRules(
  object({
    selector,
    targetRef,
    targetRefs,
    action: oneOf(ACTIONS, 'What a matching rule means. Default ALLOW.'),
    provider: object({ name: text('Who decides, for CUSTOM.') }),
    rules: parts(rule, 'One of these must match. An ALLOW policy without rules allows nothing.'),
  }),
  oneAttachment,
  {
    rule: `!(${IS_CUSTOM}) || (has(self.provider) && has(self.provider.name) && self.provider.name != '')`,
    message: 'provider.name: is required with the CUSTOM action',
  },
  {
    rule: `!has(self.provider) || (${IS_CUSTOM})`,
    message: 'provider: is only for the CUSTOM action',
    fieldPath: '.provider',
  },
  {
    rule: `!(${IS_CUSTOM}) || has(self.rules)`,
    message: 'rules: are required with the CUSTOM action; an empty rule matches all',
  },
  {
    rule: "!has(self.action) || self.action != 'DENY' || (has(self.rules) && self.rules.size() > 0)",
    message: 'rules: a DENY policy without rules denies nothing',
  },
);
