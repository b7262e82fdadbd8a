import { describe, expect, test } from '@jest/globals';
import { LogRoot } from '@ambit/core/log';
import { formatMetrics, MetricRegistry } from '@ambit/core/metrics';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { authorize } from '../decide/authorize.ts';
import { type PolicyParts, policy } from '../decide/testing/policies.ts';
import { boundPolicies } from '../resources/index/policies.ts';
import { PolicyReport } from './policy-report.ts';

const SUBJECT: AuthorizationSubject = {
  request: {
    method: 'GET',
    scheme: 'http',
    authority: 'app',
    path: '/cart?token=secret',
    fields: [],
    version: '1.1',
  },
  connection: {
    identity: 'spiffe://cluster.local/ns/shop/sa/alice',
    sourceIp: '10.1.0.1',
    destination: { ip: '10.9.0.1', port: 80 },
    sni: undefined,
  },
  token: undefined,
};
const ABOUT = {
  source: 'spiffe://cluster.local/ns/shop/sa/alice',
  method: 'GET',
  authority: 'app',
  path: '/cart',
};
const EVERYBODY = [{}];

/** What is logged and counted of one request under these policies. */
function told(parts: readonly PolicyParts[], subject = SUBJECT) {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) > 0 };
  const log = new LogRoot({ filter: { base: 'info', scopes: new Map() }, format: 'json', destination });
  const registry = new MetricRegistry();
  const bound = boundPolicies(parts.map((one) => policy(one)));
  new PolicyReport(registry, log.scope('policies')).decided(bound, subject, authorize(bound, subject));
  const counted = formatMetrics(registry.collect()).split('\n');
  return {
    logged: lines.map((line) => {
      const {
        message,
        level: _level,
        time: _time,
        scope: _scope,
        ...fields
      } = JSON.parse(line) as Record<string, unknown>;
      return { message, ...fields };
    }),
    counted: counted.filter((line) => line.startsWith('ambit_waypoint_')),
  };
}

describe('AUDIT', () => {
  test('every policy that matches is counted and logged, with what was decided', () => {
    const parts: PolicyParts[] = [
      { key: 'shop/a', action: 'AUDIT', rules: EVERYBODY },
      { key: 'shop/b', action: 'AUDIT', rules: [{ to: [{ paths: ['/other'] }] }] },
      { key: 'shop/c', action: 'DENY', rules: EVERYBODY },
    ];
    expect(told(parts)).toEqual({
      logged: [{ message: 'audited', policy: 'shop/a', result: 'denied', ...ABOUT }],
      counted: ['ambit_waypoint_audited_total{policy="shop/a"} 1'],
    });
  });
});

describe('a dry run', () => {
  test('that denies what is allowed is counted and logged', () => {
    const parts: PolicyParts[] = [{ key: 'shop/a', action: 'DENY', dryRun: true, rules: EVERYBODY }];
    const reason = 'explicitly denied by: shop/a, rule 0';
    expect(told(parts)).toEqual({
      logged: [{ message: 'a dry run decides otherwise', result: 'denied', reason, ...ABOUT }],
      counted: [
        'ambit_waypoint_dry_run_verdicts_total{policy="shop/a",result="denied",enforced_result="allowed"} 1',
      ],
    });
  });

  test('that allows what is denied, too', () => {
    const parts: PolicyParts[] = [{ key: 'shop/a' }, { key: 'shop/b', dryRun: true, rules: EVERYBODY }];
    expect(told(parts)).toMatchObject({
      logged: [{ result: 'allowed', reason: 'allowed by: shop/b' }],
      counted: [expect.stringContaining('{policy="shop/b",result="allowed",enforced_result="denied"} 1')],
    });
  });

  test('that changes nothing is counted alone; no ALLOW that matches is nobody’s', () => {
    const parts: PolicyParts[] = [{ key: 'shop/a' }, { key: 'shop/b', dryRun: true }];
    expect(told(parts)).toEqual({
      logged: [],
      counted: [
        'ambit_waypoint_dry_run_verdicts_total{policy="none",result="denied",enforced_result="denied"} 1',
      ],
    });
  });

  test('of a connection that is no HTTP names its source', () => {
    const parts: PolicyParts[] = [{ key: 'shop/a', action: 'DENY', dryRun: true, rules: EVERYBODY }];
    const { logged } = told(parts, { ...SUBJECT, request: undefined });
    expect(logged).toMatchObject([{ source: ABOUT.source }]);
    expect(logged[0]).not.toHaveProperty('path');
  });
});

test('without such policies nothing is told', () => {
  expect(told([{ rules: EVERYBODY }])).toEqual({ logged: [], counted: [] });
});
