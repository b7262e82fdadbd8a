/**
 * An AuthorizationPolicy from its message, its conditions compiled.
 *
 * Everything that cannot be read is a problem of the whole policy; the caller makes it deny what it is attached to.
 */
import type {
  AuthorizationCondition as ConditionMessage,
  AuthorizationOperation as OperationMessage,
  AuthorizationPolicy as PolicyMessage,
  AuthorizationRule as RuleMessage,
  AuthorizationSource as SourceMessage,
} from '@ambit/api/waypoint';
import { AuthorizationAction as ActionNumber } from '@ambit/api/waypoint';
import { type Cidr, parseCidr } from '@ambit/core/ip';
import { octetsOf } from '@ambit/http/header-fields';
import { atMost, nameOf, pick, Problem } from '@ambit/model/decode/problem';
import { isPathTemplate, parsePathTemplate } from '../../decide/path-template.ts';
import type {
  AttributeTest,
  AuthorizationAction,
  AuthorizationCondition,
  AuthorizationPolicy,
  AuthorizationRule,
  TextAttribute,
} from '../authorization-policy.ts';
import { MAX_CONDITIONS, MAX_PARTS } from '../limits.ts';
import { valueMatchOf } from '../value-match.ts';
import { headerNameOf, originOf, said, requiredTargetsOf, textOf } from './read.ts';

const ACTIONS = {
  [ActionNumber.ALLOW]: 'ALLOW',
  [ActionNumber.DENY]: 'DENY',
  [ActionNumber.AUDIT]: 'AUDIT',
  [ActionNumber.CUSTOM]: 'CUSTOM',
} as const;

/** @throws {@link Problem} */
export function authorizationPolicyOf(key: string, message: PolicyMessage): AuthorizationPolicy {
  const action = pick(ACTIONS, message.action, 'action');
  if (action === 'CUSTOM' && message.provider === '') throw new Problem('provider: missing');
  const values = message.rules.reduce((sum, rule) => sum + valuesIn(rule), 0);
  if (values > MAX_CONDITIONS) throw new Problem(`rules: more than ${MAX_CONDITIONS} values`);
  return {
    key,
    origin: originOf(message.origin),
    targets: requiredTargetsOf(message.targets),
    action,
    provider: action === 'CUSTOM' ? nameOf(message.provider, 'provider') : '',
    rules: atMost(message.rules, MAX_PARTS, 'rules').map((rule) => ruleOf(rule, action)),
    dryRun: message.dryRun,
    unreadable: said(message.unreadable),
  };
}

function valuesIn({ from, to, when }: RuleMessage): number {
  return [...from, ...to, ...when].reduce(
    (sum, part) =>
      Object.values(part).reduce(
        (count: number, values) => count + (Array.isArray(values) ? values.length : 0),
        sum + 1,
      ),
    1,
  );
}

function ruleOf({ from, to, when }: RuleMessage, action: AuthorizationAction): AuthorizationRule {
  return {
    from: atMost(from, MAX_PARTS, 'from').map((source) => notEmpty(sourceOf(source), 'from')),
    to: atMost(to, MAX_PARTS, 'to').map((operation) => notEmpty(operationOf(operation, action), 'to')),
    when: atMost(when, MAX_PARTS, 'when').flatMap((condition) => conditionsOf(condition, action)),
  };
}

/** One that says nothing would hold for everybody, which nobody writes on purpose. */
function notEmpty<T>(conditions: readonly T[], field: string): readonly T[] {
  if (conditions.length === 0) throw new Problem(`${field}: an alternative that says nothing`);
  return conditions;
}

/** A field's values and its test; none when the field has no values. */
type Make = (values: readonly string[], negated: boolean) => AttributeTest;

function pair(
  field: string,
  values: readonly string[],
  notValues: readonly string[],
  make: Make,
): readonly AuthorizationCondition[] {
  return [
    ...condition(field, values, false, make),
    ...condition(`not${field.charAt(0).toUpperCase()}${field.slice(1)}`, notValues, true, make),
  ];
}

function condition(
  field: string,
  values: readonly string[],
  negated: boolean,
  make: Make,
): readonly AuthorizationCondition[] {
  if (values.length === 0) return [];
  for (const value of values) textOf(value, field);
  return [{ field, written: values, negated, test: make(values, negated) }];
}

function text(attribute: TextAttribute): Make {
  return (values) => ({ attribute, values: valueMatchOf(values, { ignoreCase: false }) });
}

function sourceOf(source: SourceMessage): readonly AuthorizationCondition[] {
  return [
    ...pair('principals', source.principals, source.notPrincipals, text('principal')),
    ...pair(
      'requestPrincipals',
      source.requestPrincipals,
      source.notRequestPrincipals,
      text('request-principal'),
    ),
    ...pair('namespaces', source.namespaces, source.notNamespaces, text('namespace')),
    ...pair(
      'serviceAccounts',
      source.serviceAccounts,
      source.notServiceAccounts,
      exactText('service-account'),
    ),
    ...pair('trustDomains', source.trustDomains, source.notTrustDomains, text('trust-domain')),
    ...pair('ipBlocks', source.ipBlocks, source.notIpBlocks, blocks('source-ip')),
    ...pair('remoteIpBlocks', source.remoteIpBlocks, source.notRemoteIpBlocks, blocks('remote-ip')),
  ];
}

function operationOf(
  operation: OperationMessage,
  action: AuthorizationAction,
): readonly AuthorizationCondition[] {
  return [
    ...pair('hosts', operation.hosts, operation.notHosts, host(action)),
    ...pair('methods', operation.methods, operation.notMethods, text('method')),
    ...pair('paths', operation.paths, operation.notPaths, path),
    ...pair('ports', operation.ports, operation.notPorts, ports('ports')),
  ];
}

function conditionsOf(
  { key, values, notValues }: ConditionMessage,
  action: AuthorizationAction,
): readonly AuthorizationCondition[] {
  const make = conditionTest(nameOf(key, 'when'), action);
  const conditions = [...condition(key, values, false, make), ...condition(key, notValues, true, make)];
  return notEmpty(conditions, `when: ${key}`);
}

/** Istio's names of attributes. */
function conditionTest(key: string, action: AuthorizationAction): Make {
  const simple = CONDITIONS[key];
  if (simple) return simple;
  const bracketed = /^(request\.headers|request\.auth\.claims)((?:\[[^[\]]+\])+)$/.exec(key);
  if (!bracketed) throw new Problem(`when: ${key} is not known`);
  const names = [...(bracketed[2] ?? '').matchAll(/\[([^[\]]+)\]/g)].map(([, name = '']) => name);
  if (bracketed[1] === 'request.auth.claims') {
    return (values) => ({
      attribute: 'claim',
      path: names,
      values: valueMatchOf(values, { ignoreCase: false }),
    });
  }
  const [name = '', ...more] = names;
  if (more.length > 0) throw new Problem(`when: ${key} names more than one header`);
  const header = headerNameOf(name, 'when');
  if (header === 'host' || header === ':authority') return host(action);
  return (values) => ({
    attribute: 'request-header',
    name: header,
    values: valueMatchOf(values.map(octetsOf), { ignoreCase: false }),
  });
}

const CONDITIONS: Readonly<Record<string, Make>> = {
  'source.ip': blocks('source-ip'),
  'remote.ip': blocks('remote-ip'),
  'destination.ip': blocks('destination-ip'),
  'destination.port': ports('destination.port'),
  'source.principal': text('principal'),
  'source.namespace': text('namespace'),
  'source.serviceAccount': exactText('service-account'),
  'source.serviceaccount': exactText('service-account'),
  'source.trustDomain': text('trust-domain'),
  'request.auth.principal': text('request-principal'),
  'request.auth.audiences': text('audience'),
  'request.auth.presenter': text('presenter'),
  'connection.sni': text('sni'),
};

function exactText(attribute: TextAttribute): Make {
  return (values) => {
    const wild = values.find((value) => value.includes('*'));
    if (wild !== undefined) throw new Problem(`${wild}: no wildcard may stand here`);
    const account = values.find((value) => value.split('/').length !== 2);
    if (account !== undefined) throw new Problem(`${account}: not namespace/name`);
    return { attribute, values: valueMatchOf(values, { ignoreCase: false }) };
  };
}

/**
 * A client may name the port in Host or leave it out, and put a dot behind a name. Where taking all that for the same
 * refuses more, we do: DENY on a host, and ALLOW on all but one. Elsewhere the text is compared as it is.
 */
function host(action: AuthorizationAction): Make {
  return (values, negated) => ({
    attribute: 'host',
    values: valueMatchOf(values, { ignoreCase: true }),
    anySpelling: (action === 'ALLOW') === negated,
  });
}

function path(values: readonly string[]): AttributeTest {
  const templates = values.filter(isPathTemplate).map((value) => {
    const template = parsePathTemplate(value);
    if (typeof template === 'string') throw new Problem(`paths: ${template}`);
    return template;
  });
  const plain = values.filter((value) => !isPathTemplate(value));
  return { attribute: 'path', values: valueMatchOf(plain, { ignoreCase: false }), templates };
}

function blocks(attribute: 'source-ip' | 'remote-ip' | 'destination-ip'): Make {
  return (values) => ({ attribute, blocks: values.map((value) => blockOf(value)) });
}

function blockOf(value: string): Cidr {
  const block = parseCidr(value);
  if (block === undefined) throw new Problem(`${value} is no address and no block of addresses`);
  return block;
}

function ports(field: string): Make {
  return (values) => ({
    attribute: 'destination-port',
    ports: new Set(values.map((value) => port(value, field))),
  });
}

function port(value: string, field: string): number {
  const number = /^[0-9]{1,5}$/.test(value) ? Number(value) : 0;
  if (number < 1 || number > 65_535) throw new Problem(`${field}: ${value} is no port`);
  return number;
}
