import { describe, expect, test } from '@jest/globals';
import type { AuthorizationPolicySpec, PeerAuthenticationSpec } from '@ambit/kube/resources/security';
import type { L7WithoutWaypoint } from '../translate/authorization-policy.ts';
import { ACCEPTED, type PolicyCase, REFUSED } from '../testing/policy-cases.ts';
import { findingsFor } from '../webhook/review.ts';
import { validateAuthorizationPolicy } from './authorization-policy.ts';
import { validatePeerAuthentication } from './peer-authentication.ts';

const metadata = { namespace: 'shop', name: 'p' };
const policy = (spec: unknown, mode: L7WithoutWaypoint = 'deny') =>
  validateAuthorizationPolicy(
    { metadata, spec: spec as AuthorizationPolicySpec },
    { l7WithoutWaypoint: mode },
  );

const findingsOf = (kind: PolicyCase['kind'], spec: object) =>
  findingsFor({ metadata, spec }, kind, {
    rootNamespace: 'istio-system',
    l7WithoutWaypoint: 'deny',
    ipAutoallocate: true,
  });

describe('policies that must not get in', () => {
  test.each(Object.entries(REFUSED))('%s', (_, { kind, spec, webhook }) => {
    const { errors, refusals } = findingsOf(kind, spec);
    expect([...errors, ...refusals]).toContain(webhook);
  });
  test.each(Object.entries(ACCEPTED))('but %s is fine', (_, { kind, spec }) => {
    expect(findingsOf(kind, spec)).toMatchObject({ errors: [], refusals: [], warnings: [] });
  });
});

describe('validateAuthorizationPolicy', () => {
  const l7 = (action: string) => ({ action, rules: [{ to: [{ operation: { paths: ['/a'] } }] }] });
  test('HTTP without a waypoint is warned about, or refused where that is wanted', () => {
    expect(policy(l7('DENY'))).toEqual({
      errors: [],
      refusals: [],
      warnings: [
        'spec.rules[0]: needs a waypoint (paths); without one these attributes are taken to match, so more is denied',
      ],
    });
    expect(policy(l7('ALLOW'), 'istio').warnings).toEqual([
      'spec.rules[0]: needs a waypoint (paths); without one the rule is left out, so less is allowed',
    ]);
    expect(policy(l7('DENY'), 'refuse').refusals).toEqual([
      'spec.rules[0]: needs a waypoint (paths); attach the policy to one with targetRefs',
    ]);
  });

  test('what will not do what it seems to is warned about', () => {
    expect(policy({ action: 'AUDIT', rules: [{}] }).warnings[0]).toContain('ztunnel does not support AUDIT');
  });

  test('nor does a dry run of a CUSTOM policy, of which nothing would be told', () => {
    const targetRefs = [{ kind: 'Service', name: 'a' }];
    const spec = { targetRefs, action: 'CUSTOM', provider: { name: 'p' }, rules: [{}] };
    const warnings = (annotations: Record<string, string>) =>
      validateAuthorizationPolicy(
        { metadata: { name: 'p', annotations }, spec: spec as AuthorizationPolicySpec },
        { l7WithoutWaypoint: 'deny' },
      ).warnings;
    expect(warnings({ 'istio.io/dry-run': 'true' })).toEqual([
      'metadata.annotations: istio.io/dry-run: a CUSTOM policy in dry run asks nobody, so nothing is told of it',
    ]);
    expect(warnings({ 'istio.io/dry-run': 'false' })).toEqual([]);
  });
});

describe('validatePeerAuthentication', () => {
  const check = (spec: unknown, namespace = 'shop') =>
    validatePeerAuthentication(
      { metadata: { namespace, name: 'p' }, spec: spec as PeerAuthenticationSpec },
      { rootNamespace: 'istio-system' },
    );
  const selector = { matchLabels: { app: 'a' } };

  test('every port that is none is told', () => {
    expect(check({ selector, portLevelMtls: { http: {}, 0: {} } }).errors).toEqual([
      'spec.portLevelMtls.0: is not a port from 1 to 65535',
      'spec.portLevelMtls.http: is not a port from 1 to 65535',
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
