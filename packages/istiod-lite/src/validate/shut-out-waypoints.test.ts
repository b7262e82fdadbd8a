import { describe, expect, test } from '@jest/globals';
import type { AuthorizationPolicySpec } from '@ambit/kube/resources/security';
import { TestMesh, testSettings } from '../testing/mesh-from-yaml.ts';
import type { MeshSettings } from '../translate/settings.ts';
import { clusterWorld } from '../webhook/cluster-world.ts';
import { answerReview } from '../webhook/review.ts';
import { adviceOnPolicy } from './advice.ts';

/** Three namespaces whose traffic goes through a waypoint, each by another label, and `plain`, whose does not. */
const CLUSTER = `
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}
---
kind: Namespace
metadata: {name: by-service, labels: {istio.io/dataplane-mode: ambient}}
---
kind: Namespace
metadata: {name: by-pod, labels: {istio.io/dataplane-mode: ambient}}
---
kind: Namespace
metadata: {name: plain, labels: {istio.io/dataplane-mode: ambient}}
---
kind: GatewayClass
metadata: {name: istio-waypoint}
spec: {controllerName: istio.io/mesh-controller}
---
kind: Gateway
metadata: {namespace: shop, name: waypoint}
spec: {gatewayClassName: istio-waypoint}
status: {addresses: [{value: 10.1.0.1}]}
---
kind: Gateway
metadata: {namespace: by-service, name: w}
spec: {gatewayClassName: istio-waypoint}
status: {addresses: [{value: 10.1.0.2}]}
---
kind: Gateway
metadata: {namespace: by-pod, name: w, labels: {istio.io/waypoint-for: all}}
spec: {gatewayClassName: istio-waypoint}
status: {addresses: [{value: 10.1.0.3}]}
---
kind: Service
metadata: {namespace: shop, name: api}
spec: {selector: {app: api}}
---
kind: Service
metadata: {namespace: by-service, name: api, labels: {istio.io/use-waypoint: w}}
spec: {selector: {app: api}}
---
kind: Service
metadata: {namespace: by-service, name: db}
spec: {selector: {app: db}}
---
kind: Service
metadata: {namespace: plain, name: api}
spec: {selector: {app: api}}
---
kind: Pod
metadata: {namespace: shop, name: waypoint-1, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}
spec: {serviceAccountName: waypoint}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
---
kind: Pod
metadata: {namespace: by-service, name: w-1, labels: {gateway.networking.k8s.io/gateway-name: w}}
spec: {serviceAccountName: renamed}
status: {phase: Running, podIPs: [{ip: 10.0.0.9}]}
---
kind: Pod
metadata: {namespace: by-pod, name: w-1, labels: {gateway.networking.k8s.io/gateway-name: w}}
spec: {serviceAccountName: w}
status: {phase: Running, podIPs: [{ip: 10.0.0.10}]}
---
kind: Pod
metadata: {namespace: shop, name: api, labels: {app: api}}
spec: {serviceAccountName: api}
status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
---
kind: Pod
metadata: {namespace: shop, name: batch, labels: {app: batch}}
spec: {serviceAccountName: batch}
status: {phase: Running, podIPs: [{ip: 10.0.0.3}]}
---
kind: Pod
metadata: {namespace: by-service, name: api, labels: {app: api}}
status: {phase: Running, podIPs: [{ip: 10.0.0.4}]}
---
kind: Pod
metadata: {namespace: by-service, name: db, labels: {app: db}}
status: {phase: Running, podIPs: [{ip: 10.0.0.5}]}
---
kind: Pod
metadata: {namespace: by-pod, name: api, labels: {app: api, istio.io/use-waypoint: w}}
status: {phase: Running, podIPs: [{ip: 10.0.0.6}]}
---
kind: Pod
metadata: {namespace: plain, name: api, labels: {app: api}}
status: {phase: Running, podIPs: [{ip: 10.0.0.7}]}
---
kind: Namespace
metadata: {name: by-user, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: gw}}
---
kind: Gateway
metadata: {namespace: by-user, name: gw, labels: {istio.io/waypoint-for: all}}
spec: {gatewayClassName: of-somebody, addresses: [{type: Hostname, value: gw.by-user.svc}]}
status: {addresses: [{type: Hostname, value: gw.by-user.svc.cluster.local}]}
---
kind: Pod
metadata: {namespace: by-user, name: api, labels: {app: api}}
status: {phase: Running, podIPs: [{ip: 10.0.0.11}]}
---
kind: Pod
metadata: {namespace: shop, name: outside, labels: {app: outside, istio.io/dataplane-mode: none}}
status: {phase: Running, podIPs: [{ip: 10.0.0.8}]}
---
kind: Service
metadata: {namespace: shop, name: outside}
spec: {selector: {app: outside}}
`;

const ABOUT = 'spec.rules: waypoint ';

interface Asked {
  readonly namespace?: string;
  readonly spec: AuthorizationPolicySpec;
  readonly annotations?: Record<string, string>;
  /** YAML of what is there as well. */
  readonly beside?: string;
  readonly settings?: Partial<MeshSettings>;
}

function saidOf({
  namespace = 'shop',
  spec,
  annotations = {},
  beside = '',
  settings: over = {},
}: Asked): readonly string[] {
  const settings = { ...testSettings, ...over };
  const mesh = new TestMesh(settings);
  mesh.apply(`${CLUSTER}${beside}`);
  const world = clusterWorld(mesh.inputs, mesh.graph, settings);
  const policy = { metadata: { namespace, name: 'only-web', annotations }, spec };
  return [...adviceOnPolicy(policy, world)].filter((text) => text.startsWith(ABOUT));
}

const WEB = 'cluster.local/ns/shop/sa/web';
const said = (waypoint: string, principal: string) => [
  `${ABOUT}${waypoint} (principal ${principal}) is not let in, so what comes by it gets 503: use targetRefs, or add a rule with this principal alone`,
];
const SHUT_OUT = said('waypoint', 'cluster.local/ns/shop/sa/waypoint');
const api = { selector: { matchLabels: { app: 'api' } } };
const from = (...sources: readonly object[]) => ({
  rules: [{ from: sources.map((source) => ({ source })) }],
});
const when = (key: string, values: readonly string[]) => ({ rules: [{ when: [{ key, values }] }] });
const beside = (namespace: string, spec: object, name = 'other') =>
  `---\n${JSON.stringify({ kind: 'AuthorizationPolicy', metadata: { namespace, name }, spec })}\n`;
const gatewayPods = (...accounts: readonly string[]) =>
  accounts
    .map((account, i) => {
      const labels = { 'gateway.networking.k8s.io/gateway-name': 'gw' };
      const metadata = { namespace: 'by-user', name: `gw-${i}`, labels };
      const status = { phase: 'Running', podIPs: [{ ip: `10.0.1.${i}` }] };
      return `---\n${JSON.stringify({ kind: 'Pod', metadata, spec: { serviceAccountName: account }, status })}\n`;
    })
    .join('');
const LETS_WAYPOINT_IN = from({ principals: ['cluster.local/ns/shop/sa/waypoint'] });

describe('a policy of ztunnels that lets clients in', () => {
  const cases: Record<string, { asked: Asked; want: readonly string[] }> = {
    'and not the waypoint of the namespace': {
      asked: { spec: { ...api, ...from({ principals: [WEB] }) } },
      want: SHUT_OUT,
    },
    'by account and by namespace, but for some': {
      asked: { spec: { ...api, ...from({ serviceAccounts: ['web'] }, { namespaces: ['plain'] }) } },
      want: SHUT_OUT,
    },
    'by an account with an asterisk, which ztunnels take as it stands': {
      asked: { spec: { ...api, ...from({ serviceAccounts: ['way*'] }) } },
      want: SHUT_OUT,
    },
    'by a condition': { asked: { spec: { ...api, ...when('source.principal', [WEB]) } }, want: SHUT_OUT },
    'all but the waypoint': {
      asked: { spec: { ...api, ...from({ namespaces: ['shop'], notPrincipals: ['*/sa/waypoint'] }) } },
      want: SHUT_OUT,
    },
    'in rules that only a waypoint can read': {
      asked: {
        spec: {
          ...api,
          rules: [
            { from: [{ source: { namespaces: ['shop'] } }], to: [{ operation: { methods: ['GET'] } }] },
          ],
        },
      },
      want: SHUT_OUT,
    },
    'of a whole namespace': { asked: { spec: from({ principals: [WEB] }) }, want: SHUT_OUT },
    'of the mesh': {
      asked: { namespace: 'istio-system', spec: { ...api, ...from({ principals: [WEB] }) } },
      want: [
        ...said('w', 'cluster.local/ns/by-pod/sa/w'),
        ...SHUT_OUT,
        ...said('w', 'cluster.local/ns/by-service/sa/renamed'),
      ],
    },
    'where a Service asks for the waypoint, which runs as another account': {
      asked: { namespace: 'by-service', spec: { ...api, ...from({ principals: [WEB] }) } },
      want: said('w', 'cluster.local/ns/by-service/sa/renamed'),
    },
    'where a pod asks for it': {
      asked: { namespace: 'by-pod', spec: { ...api, ...from({ principals: [WEB] }) } },
      want: said('w', 'cluster.local/ns/by-pod/sa/w'),
    },
    'and the waypoint by name': {
      asked: { spec: { ...api, ...from({ principals: [WEB, 'cluster.local/ns/shop/sa/waypoint'] }) } },
      want: [],
    },
    'and the waypoint by account': {
      asked: { spec: { ...api, ...from({ serviceAccounts: ['web', 'shop/waypoint'] }) } },
      want: [],
    },
    'and the waypoint by pattern': {
      asked: { spec: { ...api, ...from({ principals: ['cluster.local/ns/shop/*'] }) } },
      want: [],
    },
    'and the waypoint by namespace': {
      asked: { spec: { ...api, ...when('source.namespace', ['shop']) } },
      want: [],
    },
    'and somebody by an address, which may be the waypoint': {
      asked: { spec: { ...api, ...from({ principals: [WEB] }, { ipBlocks: ['10.0.0.0/8'] }) } },
      want: [],
    },
    'and nobody at all, as it has no rules': { asked: { spec: api }, want: [] },
    'in dry run': {
      asked: {
        spec: { ...api, ...from({ principals: [WEB] }) },
        annotations: { 'istio.io/dry-run': 'true' },
      },
      want: [],
    },
    'where another lets the waypoint in': {
      asked: {
        spec: { ...api, ...from({ principals: [WEB] }) },
        beside: beside('shop', { ...api, ...LETS_WAYPOINT_IN }),
      },
      want: [],
    },
    'where another lets it in to other pods, or would, or did as this one was before': {
      asked: {
        spec: { ...api, ...from({ principals: [WEB] }) },
        beside: [
          beside('shop', { selector: { matchLabels: { app: 'batch' } }, ...LETS_WAYPOINT_IN }),
          beside('plain', LETS_WAYPOINT_IN, 'elsewhere'),
          beside('shop', { ...api, ...LETS_WAYPOINT_IN }, 'only-web'),
        ].join(''),
      },
      want: SHUT_OUT,
    },
    'all but those of another trust domain, in a rule that ztunnels are not sent': {
      asked: { spec: { ...api, ...from({ namespaces: ['shop'], notTrustDomains: ['elsewhere'] }) } },
      want: SHUT_OUT,
    },
    'all but those of another trust domain, as Istio reads it': {
      asked: {
        spec: { ...api, ...from({ namespaces: ['shop'], notTrustDomains: ['elsewhere'] }) },
        settings: { l7WithoutWaypoint: 'istio' },
      },
      want: [],
    },
    'where waypoints are let in anyway': {
      asked: { spec: { ...api, ...from({ principals: [WEB] }) }, settings: { autoAllowWaypoints: true } },
      want: [],
    },
    'where a user runs the waypoint, as somebody': {
      asked: { namespace: 'by-user', spec: from({ principals: [WEB] }), beside: gatewayPods('gw-proxy') },
      want: said('gw', 'cluster.local/ns/by-user/sa/gw-proxy'),
    },
    'and the waypoint that a user runs': {
      asked: {
        namespace: 'by-user',
        spec: from({ serviceAccounts: ['gw-proxy'] }),
        beside: gatewayPods('gw-proxy'),
      },
      want: [],
    },
    'and one of the two accounts that the waypoint runs as': {
      asked: {
        namespace: 'by-user',
        spec: from({ serviceAccounts: ['gw-proxy'] }),
        beside: gatewayPods('gw-proxy', 'gw-old'),
      },
      want: said('gw', 'cluster.local/ns/by-user/sa/gw-old'),
    },
    'where the waypoint has no pods, so nobody knows who it is': {
      asked: { namespace: 'by-user', spec: from({ principals: [WEB] }) },
      want: [],
    },
    'where pods are behind no waypoint': {
      asked: { namespace: 'plain', spec: { ...api, ...from({ principals: [WEB] }) } },
      want: [],
    },
    'where the Service of the pods asks for none': {
      asked: {
        namespace: 'by-service',
        spec: { selector: { matchLabels: { app: 'db' } }, ...from({ principals: [WEB] }) },
      },
      want: [],
    },
    'where pods are outside the mesh, so nobody enforces it': {
      asked: { spec: { selector: { matchLabels: { app: 'outside' } }, ...from({ principals: [WEB] }) } },
      want: [],
    },
    'at a waypoint': {
      asked: {
        spec: { targetRefs: [{ kind: 'Service', name: 'api', group: '' }], ...from({ principals: [WEB] }) },
      },
      want: [],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { asked, want }) => {
    expect(saidOf(asked)).toEqual(want);
  });
});

describe('a policy of ztunnels that refuses clients', () => {
  const denied = [
    `${ABOUT}waypoint (principal cluster.local/ns/shop/sa/waypoint) is denied, so what comes by it gets 503: use targetRefs, or except this principal`,
  ];
  const deny = (rules: AuthorizationPolicySpec) => ({ spec: { ...api, action: 'DENY' as const, ...rules } });
  const letsAllIn = beside('shop', { ...api, ...LETS_WAYPOINT_IN });
  const cases: Record<string, { asked: Asked; want: readonly string[] }> = {
    'all but one': { asked: deny(from({ notPrincipals: [WEB] })), want: denied },
    'all but one, whoever lets in the waypoint': {
      asked: {
        ...deny(from({ notPrincipals: [WEB] })),
        beside: letsAllIn,
        settings: { autoAllowWaypoints: true },
      },
      want: denied,
    },
    'by a condition': { asked: deny(when('source.namespace', ['shop'])), want: denied },
    'and not the waypoint': { asked: deny(from({ principals: [WEB] })), want: [] },
    'who show no certificate': { asked: deny(from({ notPrincipals: ['*'] })), want: [] },
    'all but one and the waypoint': {
      asked: deny(from({ notPrincipals: [WEB, 'cluster.local/ns/shop/sa/waypoint'] })),
      want: [],
    },
    'all but one, from some addresses': {
      asked: deny(from({ notPrincipals: [WEB], ipBlocks: ['192.168.0.0/16'] })),
      want: [],
    },
    'all but one, at some ports': {
      asked: deny({
        rules: [{ from: [{ source: { notPrincipals: [WEB] } }], to: [{ operation: { ports: ['81'] } }] }],
      }),
      want: [],
    },
    'whoever they are': { asked: deny({ rules: [{}] }), want: [] },
  };
  test.each(Object.entries(cases))('%s', (_, { asked, want }) => {
    expect(saidOf(asked)).toEqual(want);
  });
});

describe('the warning as kubectl shows it', () => {
  const warned = (namespace: string, waypoint: string, account: string) => {
    const mesh = new TestMesh();
    const labels = { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': waypoint };
    const of = { 'gateway.networking.k8s.io/gateway-name': waypoint };
    const objects = [
      { kind: 'Namespace', metadata: { name: namespace, labels } },
      {
        kind: 'Gateway',
        metadata: { namespace, name: waypoint, labels: { 'istio.io/waypoint-for': 'all' } },
        spec: { gatewayClassName: 'istio-waypoint' },
        status: { addresses: [{ value: '10.1.0.1' }] },
      },
      {
        kind: 'Pod',
        metadata: { namespace, name: 'w-1', labels: of },
        spec: { serviceAccountName: account },
        status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
      },
      {
        kind: 'Pod',
        metadata: { namespace, name: 'api', labels: { app: 'api' } },
        spec: { serviceAccountName: 'web' },
        status: { phase: 'Running', podIPs: [{ ip: '10.0.0.2' }] },
      },
    ];
    mesh.apply(objects.map((object) => JSON.stringify(object)).join('\n---\n'));
    const world = clusterWorld(mesh.inputs, mesh.graph, testSettings);
    const object = { metadata: { namespace, name: 'only-web' }, spec: from({ serviceAccounts: ['web'] }) };
    const request = { uid: 'u', operation: 'CREATE', kind: { kind: 'AuthorizationPolicy' }, object };
    const [warning = ''] =
      answerReview({ request }, { settings: testSettings, world })?.response.warnings ?? [];
    expect(warning.length).toBeLessThanOrEqual(250);
    return warning;
  };

  test('is whole, with names as they mostly are', () => {
    const [namespace, waypoint] = ['payments-production', 'payments-waypoint'];
    const [whole] = said(waypoint, `cluster.local/ns/${namespace}/sa/${waypoint}`);
    expect(warned(namespace, waypoint, waypoint)).toBe(whole);
  });

  test('has the principal whole, with names as long as labels and namespaces may be', () => {
    const [namespace, waypoint, account] = ['n'.repeat(63), 'w'.repeat(63), 'a'.repeat(63)];
    expect(warned(namespace, waypoint, account)).toMatch(
      new RegExp(`^${ABOUT}${waypoint} \\(principal cluster\\.local/ns/${namespace}/sa/${account}\\).*…$`),
    );
  });

  test('shows that it is cut, where an account may be longer', () => {
    expect(warned('shop', 'w', 'a'.repeat(253))).toMatch(/a…$/);
  });
});

test('goes through the policies of the mesh once for all waypoints, and reads none of a namespace that is not concerned', () => {
  const mesh = new TestMesh();
  mesh.apply(CLUSTER);
  const unread = {
    metadata: { namespace: 'elsewhere', name: 'unread' },
    get spec(): AuthorizationPolicySpec {
      throw new Error('read');
    },
  };
  let times = 0;
  const world = {
    ...clusterWorld(mesh.inputs, mesh.graph, testSettings),
    authorizationPolicies: () => {
      times += 1;
      return [unread];
    },
  };
  const policy = {
    metadata: { namespace: 'istio-system', name: 'only-web' },
    spec: { ...api, ...from({ principals: [WEB] }) },
  };
  expect([...adviceOnPolicy(policy, world)].filter((text) => text.startsWith(ABOUT))).toHaveLength(3);
  expect(times).toBe(1);
});
