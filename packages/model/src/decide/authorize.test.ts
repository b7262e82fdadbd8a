import { describe, expect, test } from '@jest/globals';
import { meshOf, workloadNamed } from '../testing/mesh-file.ts';
import { authorize, type AuthorizationRequest, refusalOf, refusingPolicies } from './authorize.ts';
import { explainAuthorization } from './explain-authorization.ts';

const ALICE = 'spiffe://td/ns/a/sa/alice';
const request = (over: Partial<AuthorizationRequest> = {}): AuthorizationRequest => ({
  identity: ALICE,
  sourceIp: '10.0.0.1',
  destination: { ip: '10.0.0.2', port: 80 },
  ...over,
});

/** `rules` in flow style; the policy selects the workload. */
function policy(name: string, action: string, rules: string, more = ''): string {
  const scope = more.includes('scope:') ? '' : 'scope: WorkloadSelector, ';
  const dryRun = more.includes('dryRun:') ? '' : 'dryRun: false, ';
  return `  - {name: ${name}, namespace: app, action: ${action}, ${scope}${dryRun}rules: ${rules}${more && `, ${more}`}}`;
}

function meshWith(policies: readonly string[], references: readonly string[]): ReturnType<typeof meshOf> {
  return meshOf(`
workloads:
  - {uid: w, name: w, namespace: app, serviceAccount: w, trustDomain: td, workloadIps: [10.0.0.2], services: {}, authorizationPolicies: [${references.join(', ')}]}
policies:
${policies.length === 0 ? '  []' : policies.join('\n')}
`);
}

interface Case {
  readonly policies: readonly string[];
  readonly references?: readonly string[];
  readonly request?: Partial<AuthorizationRequest>;
  readonly missingPolicy?: 'ignore';
  readonly want: string;
}

const ANYBODY = '[[]]';
const ONLY_ALICE = '[[[{principals: [{Exact: td/ns/a/sa/alice}]}]]]';

describe('authorize', () => {
  const cases: Record<string, Case> = {
    'no policy at all allows': { policies: [], want: 'allow' },
    'a matching allow policy allows': { policies: [policy('p', 'Allow', ONLY_ALICE)], want: 'allow app/p' },
    'an allow policy that does not match refuses': {
      policies: [policy('p', 'Allow', ONLY_ALICE)],
      request: { identity: 'spiffe://td/ns/a/sa/bob' },
      want: 'no-allow-matched',
    },
    'one of several allow policies is enough': {
      policies: [policy('p', 'Allow', '[]'), policy('q', 'Allow', ONLY_ALICE)],
      want: 'allow app/q',
    },
    'an allow policy without rules refuses everything': {
      policies: [policy('p', 'Allow', '[]')],
      want: 'no-allow-matched',
    },
    'a deny policy without rules does nothing': { policies: [policy('p', 'Deny', '[]')], want: 'allow' },
    'deny wins over allow, whatever the order': {
      policies: [policy('p', 'Allow', ANYBODY), policy('q', 'Deny', ONLY_ALICE)],
      want: 'deny app/q',
    },
    'a dry-run deny is not enforced': {
      policies: [policy('p', 'Deny', ANYBODY, 'dryRun: true')],
      want: 'allow',
    },
    'a dry-run allow does not make others be refused': {
      policies: [policy('p', 'Allow', '[]', 'dryRun: true')],
      want: 'allow',
    },
    'a namespace policy binds every workload of its namespace': {
      policies: [policy('p', 'Deny', ANYBODY, 'scope: Namespace')],
      references: [],
      want: 'deny app/p',
    },
    'a namespace policy of another namespace does not': {
      policies: [
        '  - {name: p, namespace: other, action: Deny, scope: Namespace, dryRun: false, rules: [[]]}',
      ],
      references: [],
      want: 'allow',
    },
    'a global policy binds every workload': {
      policies: ['  - {name: p, namespace: root, action: Deny, scope: Global, dryRun: false, rules: [[]]}'],
      references: [],
      want: 'deny root/p',
    },
    'a selector policy binds only who names it': {
      policies: [policy('p', 'Deny', ANYBODY)],
      references: [],
      want: 'allow',
    },
    'a policy that has not arrived is missing': {
      policies: [],
      references: ['app/p'],
      want: 'missing app/p',
    },
    'a missing policy outranks an allow that matches': {
      policies: [policy('p', 'Allow', ANYBODY)],
      references: ['app/p', 'app/late'],
      want: 'missing app/late',
    },
    'a deny that matches outranks a missing policy': {
      policies: [policy('p', 'Deny', ANYBODY)],
      references: ['app/late', 'app/p'],
      want: 'deny app/p',
    },
    'a missing policy may be ignored': {
      policies: [policy('p', 'Allow', ANYBODY)],
      references: ['app/p', 'app/late'],
      missingPolicy: 'ignore',
      want: 'allow app/p',
    },
    'the converted strict policy refuses plaintext': {
      policies: [policy('strict', 'Deny', '[[[{notPrincipals: [{Presence: []}]}]]]')],
      request: { identity: undefined },
      want: 'deny app/strict',
    },
    'the converted strict policy lets any identity through': {
      policies: [policy('strict', 'Deny', '[[[{notPrincipals: [{Presence: []}]}]]]')],
      want: 'allow',
    },
  };

  test.each(Object.entries(cases))('%s', (_, { policies, references, want, ...rest }) => {
    const named = references ?? policies.map((text) => `app/${/name: (\w+)/.exec(text)?.[1]}`);
    const mesh = meshWith(policies, named);
    const options = { missingPolicy: rest.missingPolicy ?? ('refuse' as const) };
    const workload = workloadNamed(mesh, 'w');
    const verdict = authorize(mesh, workload, request(rest.request), options);
    const by =
      verdict.kind === 'missing' ? verdict.policies.join() : 'by' in verdict ? (verdict.by ?? '') : '';
    expect(`${verdict.kind} ${by}`.trim()).toBe(want);
    expect(explainAuthorization(mesh, workload, request(rest.request), options).verdict).toEqual(verdict);
    expect(refusalOf(verdict) === undefined).toBe(verdict.kind === 'allow');
  });
});

describe('the policies that refuse', () => {
  const cases: Record<
    string,
    { policies: readonly string[]; named: readonly string[]; want: readonly string[] }
  > = {
    'none, where the connection is let in': {
      policies: [policy('p', 'Allow', ONLY_ALICE)],
      named: ['app/p'],
      want: [],
    },
    'the one that denies': {
      policies: [policy('p', 'Allow', ANYBODY), policy('no', 'Deny', ANYBODY)],
      named: ['app/p', 'app/no'],
      want: ['app/no'],
    },
    'all that allow others, but for dry runs and what denies others': {
      policies: [
        policy('p', 'Allow', '[[[{destinationPorts: [81]}]]]'),
        policy('q', 'Allow', '[]'),
        policy('dry', 'Allow', ANYBODY, 'dryRun: true'),
        policy('no', 'Deny', '[[[{destinationPorts: [81]}]]]'),
      ],
      named: ['app/p', 'app/q', 'app/dry', 'app/no'],
      want: ['app/p', 'app/q'],
    },
    'those that have not arrived': { policies: [], named: ['app/late'], want: ['app/late'] },
  };

  test.each(Object.entries(cases))('%s', (_, { policies, named, want }) => {
    const mesh = meshWith(policies, named);
    const workload = workloadNamed(mesh, 'w');
    const verdict = authorize(mesh, workload, request(), { missingPolicy: 'refuse' });
    expect([...refusingPolicies(mesh, workload, verdict)].sort()).toEqual(want);
  });
});

describe('a match', () => {
  const cases: Record<string, [match: string, over: Partial<AuthorizationRequest>, holds: boolean]> = {
    'without fields never holds': ['{}', {}, false],
    'exact principal': ['{principals: [!Exact td/ns/a/sa/alice]}', {}, true],
    'exact principal with the scheme does not hold': [
      '{principals: [!Exact "spiffe://td/ns/a/sa/alice"]}',
      {},
      false,
    ],
    'principal by prefix': ['{principals: [!Prefix td/ns/a/]}', {}, true],
    'principal by suffix': ['{principals: [!Suffix /alice]}', {}, true],
    'principal by presence': ['{principals: [!Presence []]}', {}, true],
    'principal by presence, without identity': [
      '{principals: [!Presence []]}',
      { identity: undefined },
      false,
    ],
    'principal by the empty prefix, without identity': [
      '{principals: [!Prefix ""]}',
      { identity: undefined },
      false,
    ],
    'values of a field are alternatives': ['{principals: [!Exact x, !Exact td/ns/a/sa/alice]}', {}, true],
    'fields of a match must all hold': ['{principals: [!Presence []], destinationPorts: [81]}', {}, false],
    'not principal': ['{notPrincipals: [!Exact td/ns/a/sa/alice]}', {}, false],
    'not principal, somebody else': ['{notPrincipals: [!Exact td/ns/a/sa/bob]}', {}, true],
    'not principal, none may match': ['{notPrincipals: [!Exact x, !Presence []]}', {}, false],
    'not principal, without identity': ['{notPrincipals: [!Exact x]}', { identity: undefined }, true],
    namespace: ['{namespaces: [!Exact a]}', {}, true],
    'namespace, without identity': ['{namespaces: [!Presence []]}', { identity: undefined }, false],
    'not namespace': ['{notNamespaces: [!Exact a]}', {}, false],
    'not namespace, without identity': ['{notNamespaces: [!Exact a]}', { identity: undefined }, true],
    'service account, whatever the trust domain': [
      '{serviceAccounts: [{namespace: a, serviceAccount: alice}]}',
      { identity: 'spiffe://elsewhere/ns/a/sa/alice' },
      true,
    ],
    'service account of another namespace': [
      '{serviceAccounts: [{namespace: b, serviceAccount: alice}]}',
      {},
      false,
    ],
    'service account, without identity': [
      '{serviceAccounts: [{namespace: "", serviceAccount: ""}]}',
      { identity: undefined },
      false,
    ],
    'not service account': ['{notServiceAccounts: [{namespace: a, serviceAccount: alice}]}', {}, false],
    'source block': ['{sourceIps: [10.0.0.0/24]}', {}, true],
    'source block that ends within a byte': ['{sourceIps: [10.0.0.0/30]}', { sourceIp: '10.0.0.4' }, false],
    'source of another family': ['{sourceIps: [0.0.0.0/0]}', { sourceIp: 'fd00::1' }, false],
    'source block of IPv6': ['{sourceIps: ["fd00::/8"]}', { sourceIp: 'fd00::1' }, true],
    'not source block': ['{notSourceIps: [10.0.0.0/24]}', {}, false],
    'not source block of another family': ['{notSourceIps: ["::/0"]}', {}, true],
    'destination block': ['{destinationIps: [10.0.0.2/32]}', {}, true],
    'not destination block': ['{notDestinationIps: [10.0.0.2/32]}', {}, false],
    'destination port': ['{destinationPorts: [79, 80]}', {}, true],
    'another destination port': ['{destinationPorts: [81]}', {}, false],
    'not destination port': ['{notDestinationPorts: [80]}', {}, false],
    'an identity that is no SPIFFE ID is none': [
      '{principals: [!Presence []]}',
      { identity: 'alice' },
      false,
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [match, over, holds]) => {
    const mesh = meshWith([policy('p', 'Allow', `[[[${match}]]]`)], ['app/p']);
    const verdict = authorize(mesh, workloadNamed(mesh, 'w'), request(over), { missingPolicy: 'refuse' });
    expect(verdict.kind === 'allow').toBe(holds);
  });

  test.each([
    ['no clause matches everything', '[[]]', true],
    ['an empty clause holds', '[[[]]]', true],
    ['all clauses must hold', '[[[{destinationPorts: [80]}], [{destinationPorts: [81]}]]]', false],
    [
      'matches of a clause are alternatives',
      '[[[{destinationPorts: [81]}, {destinationPorts: [80]}]]]',
      true,
    ],
    ['rules are alternatives', '[[[{}]], [[{destinationPorts: [80]}]]]', true],
  ])('%s', (_, rules, holds) => {
    const mesh = meshWith([policy('p', 'Allow', rules)], ['app/p']);
    const verdict = authorize(mesh, workloadNamed(mesh, 'w'), request(), { missingPolicy: 'refuse' });
    expect(verdict.kind === 'allow').toBe(holds);
  });
});

describe('explainAuthorization', () => {
  test('names for each policy what matched, or what failed first', () => {
    const policies = [
      policy(
        'deny',
        'Deny',
        '[[[{destinationPorts: [80]}], [{namespaces: [!Exact b]}, {}]], [[{sourceIps: [192.0.2.0/24]}]]]',
      ),
      policy('allow', 'Allow', '[[[{destinationPorts: [81]}]], [[]]]'),
      policy('dry', 'Deny', ANYBODY, 'dryRun: true'),
    ];
    const mesh = meshWith(policies, ['app/deny', 'app/allow', 'app/dry', 'app/late']);
    const options = { missingPolicy: 'ignore' as const };
    const trace = explainAuthorization(mesh, workloadNamed(mesh, 'w'), request(), options);
    const selector = { scope: 'WorkloadSelector', dryRun: false };
    expect(trace).toEqual({
      verdict: { kind: 'allow', by: 'app/allow' },
      dryRunVerdict: { kind: 'deny', by: 'app/dry' },
      missing: ['app/late'],
      seen: {
        namespaces: 'a',
        serviceAccounts: 'a/alice',
        principals: 'td/ns/a/sa/alice',
        sourceIps: '10.0.0.1',
        destinationIps: '10.0.0.2',
        destinationPorts: '80',
      },
      policies: [
        {
          ...selector,
          policy: 'app/deny',
          action: 'Deny',
          matchedRule: undefined,
          failures: [
            { rule: 0, clause: 1, failed: ['namespaces', 'empty'] },
            { rule: 1, clause: 0, failed: ['sourceIps'] },
          ],
        },
        { ...selector, policy: 'app/allow', action: 'Allow', matchedRule: 1, failures: [] },
        { ...selector, dryRun: true, policy: 'app/dry', action: 'Deny', matchedRule: 0, failures: [] },
      ],
    });
  });
});
