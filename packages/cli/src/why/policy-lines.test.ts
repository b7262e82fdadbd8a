import { expect, test } from '@jest/globals';
import { readConfigDump } from '../config-dump.ts';
import { readWhy } from './answer.ts';
import { describePolicies } from './policy-lines.ts';

const traces = [
  { policy: 'a/deny', action: 'Deny', matchedRule: 1, failures: [] },
  { policy: 'a/none', action: 'Allow', failures: [] },
  {
    policy: 'a/many',
    action: 'Allow',
    dryRun: true,
    failures: [
      { rule: 0, clause: 0, failed: ['principals', 'empty'] },
      { rule: 1, clause: 1, failed: ['notSourceIps', 'destinationPorts', 'serviceAccounts'] },
    ],
  },
  { policy: 'a/gone', action: 'Deny', failures: [{ rule: 0, clause: 0, failed: ['namespaces'] }] },
];

const { policies } = readConfigDump({
  policies: [
    {
      namespace: 'a',
      name: 'many',
      rules: [
        [[{ principals: [{ Exact: 'x' }, { Prefix: 'y/' }, { Suffix: '/z' }, { Presence: [] }] }, {}]],
        [
          [],
          [
            { notSourceIps: ['10.0.0.0/8'] },
            { destinationPorts: [80, 443] },
            { serviceAccounts: [{ namespace: 'n', serviceAccount: 's' }] },
          ],
        ],
      ],
    },
  ],
});

test('every policy is told, in its order, with what the first failing clause of each rule wants', () => {
  const [step] = readWhy({ inbound: [{ step: 'authorization', detail: { policies: traces } }] }).inbound;
  if (!step) throw new Error('no step');
  expect(describePolicies(step, policies)).toEqual([
    'policy a/deny (DENY): rule 1 matches',
    'policy a/none (ALLOW): has no rules, so it matches nothing',
    'policy a/many (ALLOW, dry run: not enforced):',
    '  rule 0 does not match, as its clause 0 wants principals x, y/*, */z, * or nothing that can be (an empty match never holds)',
    '  rule 1 does not match, as its clause 1 wants notSourceIps 10.0.0.0/8 or destinationPorts 80, 443 or serviceAccounts n/s',
    'policy a/gone (DENY): rule 0 does not match, as its clause 0 wants namespaces',
  ]);
});

const described = (detail: object) => {
  const [step] = readWhy({ inbound: [{ step: 'authorization', detail }] }).inbound;
  if (!step) throw new Error('no step');
  return describePolicies(step, policies);
};

test('what the connection has there is told, where the proxy said it', () => {
  const seen = { principals: '', sourceIps: '10.0.0.7', serviceAccounts: 'n/t' };
  expect(described({ seen, policies: traces.slice(2, 3) })).toEqual([
    'policy a/many (ALLOW, dry run: not enforced):',
    '  rule 0 does not match, as its clause 0 wants principals x, y/*, */z, * (here: nothing) or nothing that can be (an empty match never holds)',
    '  rule 1 does not match, as its clause 1 wants notSourceIps 10.0.0.0/8 (here: 10.0.0.7) or destinationPorts 80, 443 or serviceAccounts n/s (here: n/t)',
  ]);
});

test('a converted PeerAuthentication is called by the name that its user gave it', () => {
  const strict = { policy: 'istio-system/istio_converted_static_strict', action: 'Deny' };
  const ported = { policy: 'shop/converted_peer_authentication_db', action: 'Deny', matchedRule: 0 };
  const failures = [{ rule: 0, clause: 0, failed: ['notPrincipals'] }];
  expect(
    described({ seen: { principals: 'td/ns/a/sa/b' }, policies: [{ ...strict, failures }, ported] }),
  ).toEqual([
    'PeerAuthentication STRICT of the mesh or the namespace: the connection proves an identity (here: td/ns/a/sa/b)',
    'PeerAuthentication shop/db (by port): rule 0 matches',
  ]);
});

test('an answer without shape explains nothing, and does not crash', () => {
  for (const json of [undefined, null, 5, [], { inbound: 'x', proxy: [] }, { outbound: [null, 7] }]) {
    for (const step of [...readWhy(json).outbound, ...readWhy(json).inbound]) {
      expect(step.outcome).toBe('unknown');
      expect(describePolicies(step, [])).toEqual([]);
    }
  }
});
