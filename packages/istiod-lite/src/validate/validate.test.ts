import { describe, expect, test } from '@jest/globals';
import type { AuthorizationPolicySpec, PeerAuthenticationSpec } from '@ambit/kube/resources/security';
import type { L7WithoutWaypoint } from '../translate/authorization-policy.ts';
import { validateAuthorizationPolicy } from './authorization-policy.ts';
import { validatePeerAuthentication } from './peer-authentication.ts';

const metadata = { namespace: 'shop', name: 'p' };
const policy = (spec: unknown, mode: L7WithoutWaypoint = 'deny') =>
  validateAuthorizationPolicy(
    { metadata, spec: spec as AuthorizationPolicySpec },
    { l7WithoutWaypoint: mode },
  );
const rule = (part: object) => ({ rules: [part] });

describe('validateAuthorizationPolicy', () => {
  const fine: Record<string, object> = {
    'an empty one': {},
    'one that allows all': { rules: [{}] },
    'one for a waypoint with HTTP in it': {
      targetRefs: [{ kind: 'Service', name: 'a', group: '' }],
      rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
    },
    'CUSTOM with provider and rules': {
      targetRef: { kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'w' },
      action: 'CUSTOM',
      provider: { name: 'p' },
      rules: [{}],
    },
    'every form of value': rule({
      from: [
        { source: { ipBlocks: ['10.0.0.1', 'fd00::/8'], namespaces: ['*', 'a*'] } },
        { source: { serviceAccounts: ['a', 'b/c'] } },
      ],
      to: [{ operation: { ports: ['1', '65535'] } }],
      when: [
        { key: 'destination.port', notValues: ['80'] },
        { key: 'source.ip', values: ['::1'] },
      ],
    }),
  };
  test.each(Object.entries(fine))('%s is fine', (_, spec) =>
    expect(policy(spec)).toMatchObject({ errors: [], warnings: [] }),
  );

  const wrong: Record<string, { spec: object; want: string }> = {
    'two attachments': {
      spec: { selector: {}, targetRef: { kind: 'Service', name: 'a' } },
      want: 'spec: only one of selector, targetRef and targetRefs may be set',
    },
    'a target of another kind': {
      spec: { targetRef: { kind: 'Pod', name: 'a' } },
      want: 'spec.targetRef.kind: must be one of Service, ServiceEntry, Gateway, GatewayClass',
    },
    'a target of another group': {
      spec: { targetRefs: [{ kind: 'Gateway', name: 'a' }] },
      want: 'spec.targetRefs[0].group: must be "gateway.networking.k8s.io" for a Gateway',
    },
    'a target elsewhere': {
      spec: { targetRef: { kind: 'Service', name: 'a', namespace: 'b' } },
      want: 'spec.targetRef.namespace: must be empty: a target is in the namespace of the policy',
    },
    'a wildcard in the selector': {
      spec: { selector: { matchLabels: { app: 'a*' } } },
      want: 'spec.selector.matchLabels.app: wildcards are not supported',
    },
    'DENY without rules': {
      spec: { action: 'DENY' },
      want: 'spec.rules: a DENY policy without rules denies nothing',
    },
    'CUSTOM without a provider': {
      spec: { action: 'CUSTOM', rules: [{}] },
      want: 'spec.provider.name: is required with the CUSTOM action',
    },
    'CUSTOM without rules': {
      spec: { action: 'CUSTOM', provider: { name: 'p' } },
      want: 'spec.rules: are required with the CUSTOM action; an empty rule matches all',
    },
    'CUSTOM on identity': {
      spec: {
        action: 'CUSTOM',
        provider: { name: 'p' },
        rules: [{ from: [{ source: { namespaces: ['a'] } }] }],
      },
      want: 'spec.rules[0].from[0].source.namespaces: is not supported with the CUSTOM action',
    },
    'CUSTOM on an identity condition': {
      spec: {
        action: 'CUSTOM',
        provider: { name: 'p' },
        rules: [{ when: [{ key: 'source.principal', values: ['a'] }] }],
      },
      want: 'spec.rules[0].when[0].key: source.principal is not supported with the CUSTOM action',
    },
    'a provider without CUSTOM': {
      spec: { provider: { name: 'p' } },
      want: 'spec.provider: is only for the CUSTOM action',
    },
    'no source in from': {
      spec: rule({ from: [] }),
      want: 'spec.rules[0].from: must have at least one source',
    },
    'a source that says nothing': {
      spec: rule({ from: [{}] }),
      want: 'spec.rules[0].from[0].source: must have at least one field',
    },
    'an empty list': {
      spec: rule({ from: [{ source: { namespaces: [] } }] }),
      want: 'spec.rules[0].from[0].source.namespaces: must not be an empty list',
    },
    'an empty value': {
      spec: rule({ to: [{ operation: { ports: [''] } }] }),
      want: 'spec.rules[0].to[0].operation.ports: a value is empty',
    },
    'no IP': {
      spec: rule({ from: [{ source: { notIpBlocks: ['10.0.0'] } }] }),
      want: 'spec.rules[0].from[0].source.notIpBlocks: "10.0.0" is not an IP address or a CIDR block',
    },
    'no port': {
      spec: rule({ to: [{ operation: { notPorts: ['65536'] } }] }),
      want: 'spec.rules[0].to[0].operation.notPorts: "65536" is not a port from 1 to 65535',
    },
    'a wildcard account': {
      spec: rule({ from: [{ source: { serviceAccounts: ['a/*'] } }] }),
      want: 'spec.rules[0].from[0].source.serviceAccounts: "a/*": wildcards are not supported',
    },
    'an account of three parts': {
      spec: rule({ from: [{ source: { serviceAccounts: ['a/b/c'] } }] }),
      want: 'spec.rules[0].from[0].source.serviceAccounts: "a/b/c" is neither name nor namespace/name',
    },
    'accounts with namespaces': {
      spec: rule({ from: [{ source: { serviceAccounts: ['a'], namespaces: ['b'] } }] }),
      want: 'spec.rules[0].from[0].source: serviceAccounts cannot be joined with principals or namespaces',
    },
    'an unknown condition': {
      spec: rule({ when: [{ key: 'source.port', values: ['1'] }] }),
      want: 'spec.rules[0].when[0].key: unknown attribute "source.port"',
    },
    'a condition without values': {
      spec: rule({ when: [{ key: 'source.ip' }] }),
      want: 'spec.rules[0].when[0]: must have values or notValues',
    },
    'a condition on no IP': {
      spec: rule({ when: [{ key: 'destination.ip', values: ['host'] }] }),
      want: 'spec.rules[0].when[0].values: "host" is not an IP address or a CIDR block',
    },
    'a form that is not one': { spec: { rules: { from: [] } }, want: 'spec.rules: must be a list' },
  };
  test.each(Object.entries(wrong))('%s is refused', (_, { spec, want }) =>
    expect(policy(spec).errors).toContain(want),
  );

  const l7 = (action: string) => ({ action, rules: [{ to: [{ operation: { paths: ['/a'] } }] }] });
  test('HTTP without a waypoint is warned about, or refused where that is wanted', () => {
    expect(policy(l7('DENY'))).toEqual({
      errors: [],
      warnings: [
        'spec.rules[0]: needs a waypoint (paths); without one these attributes are taken to match, so more is denied',
      ],
    });
    expect(policy(l7('ALLOW'), 'istio').warnings).toEqual([
      'spec.rules[0]: needs a waypoint (paths); without one the rule is left out, so less is allowed',
    ]);
    expect(policy(l7('DENY'), 'refuse').errors).toEqual([
      'spec.rules[0]: needs a waypoint (paths); attach the policy to one with targetRefs',
    ]);
  });

  test('what will not do what it seems to is warned about', () => {
    expect(policy({ action: 'AUDIT', rules: [{}] }).warnings[0]).toContain('ztunnel does not support AUDIT');
    const scheme = rule({ from: [{ source: { principals: ['spiffe://td/ns/a/sa/b'] } }] });
    expect(policy(scheme).warnings[0]).toContain('without spiffe://');
  });
});

describe('validatePeerAuthentication', () => {
  const check = (spec: unknown, namespace = 'shop') =>
    validatePeerAuthentication(
      { metadata: { namespace, name: 'p' }, spec: spec as PeerAuthenticationSpec },
      { rootNamespace: 'istio-system' },
    );
  const selector = { matchLabels: { app: 'a' } };

  test('modes by port need a selector, ports and known modes', () => {
    expect(
      check({ selector, mtls: { mode: 'STRICT' }, portLevelMtls: { 80: { mode: 'PERMISSIVE' } } }),
    ).toEqual({ errors: [], warnings: [] });
    expect(check({ portLevelMtls: { 80: { mode: 'STRICT' } } }).errors).toEqual([
      'spec.portLevelMtls: needs a selector',
    ]);
    expect(check({ selector, portLevelMtls: {} }).errors).toEqual(['spec.portLevelMtls: must not be empty']);
    expect(check({ selector, portLevelMtls: { http: {}, 0: {} } }).errors).toEqual([
      'spec.portLevelMtls.0: is not a port from 1 to 65535',
      'spec.portLevelMtls.http: is not a port from 1 to 65535',
    ]);
    expect(check({ mtls: { mode: 'strict' } }).errors).toEqual([
      'spec.mtls.mode: must be one of UNSET, DISABLE, PERMISSIVE, STRICT',
    ]);
  });

  test('what has no effect is warned about', () => {
    expect(check({ selector, mtls: { mode: 'STRICT' } }, 'istio-system').warnings[0]).toContain(
      'has no effect in the root namespace',
    );
    expect(check({ mtls: { mode: 'DISABLE' } }).warnings[0]).toContain(
      'DISABLE has the effect of PERMISSIVE',
    );
  });
});
