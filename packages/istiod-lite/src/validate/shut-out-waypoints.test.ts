import { describe, expect, test } from '@jest/globals';
import type { AuthorizationPolicySpec } from '@ambit/kube/resources/security';
import { TestMesh, testSettings } from '../testing/mesh-from-yaml.ts';
import { clusterWorld } from '../webhook/cluster-world.ts';
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
metadata: {namespace: by-service, name: w, annotations: {gateway.istio.io/service-account: renamed}}
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
}

function saidOf({ namespace = 'shop', spec, annotations = {}, beside = '' }: Asked): readonly string[] {
  const mesh = new TestMesh();
  mesh.apply(`${CLUSTER}${beside}`);
  const world = clusterWorld(mesh.inputs, mesh.graph, testSettings);
  const policy = { metadata: { namespace, name: 'only-web', annotations }, spec };
  return [...adviceOnPolicy(policy, world)].filter((text) => text.startsWith(ABOUT));
}

const WEB = 'cluster.local/ns/shop/sa/web';
const said = (waypoint: string, principal: string) => [
  `${ABOUT}${waypoint} is not let in, so what comes by it gets 503: use targetRefs (the waypoint, or Services behind it) instead of selecting pods, or add principal ${principal}`,
];
const SHUT_OUT = said('shop/waypoint', 'cluster.local/ns/shop/sa/waypoint');
const api = { selector: { matchLabels: { app: 'api' } } };
const from = (...sources: readonly object[]) => ({
  rules: [{ from: sources.map((source) => ({ source })) }],
});
const when = (key: string, values: readonly string[]) => ({ rules: [{ when: [{ key, values }] }] });
const beside = (namespace: string, spec: object, name = 'other') =>
  `---\n${JSON.stringify({ kind: 'AuthorizationPolicy', metadata: { namespace, name }, spec })}\n`;
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
        ...said('by-pod/w', 'cluster.local/ns/by-pod/sa/w'),
        ...SHUT_OUT,
        ...said('by-service/w', 'cluster.local/ns/by-service/sa/renamed'),
      ],
    },
    'where a Service asks for the waypoint, which runs as another account': {
      asked: { namespace: 'by-service', spec: { ...api, ...from({ principals: [WEB] }) } },
      want: said('by-service/w', 'cluster.local/ns/by-service/sa/renamed'),
    },
    'where a pod asks for it': {
      asked: { namespace: 'by-pod', spec: { ...api, ...from({ principals: [WEB] }) } },
      want: said('by-pod/w', 'cluster.local/ns/by-pod/sa/w'),
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

test('a policy that refuses somebody lets nobody in', () => {
  expect(saidOf({ spec: { ...api, action: 'DENY', ...from({ principals: [WEB] }) } })).toEqual([]);
});
