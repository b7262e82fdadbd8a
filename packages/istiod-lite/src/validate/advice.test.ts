import { describe, expect, test } from '@jest/globals';
import { TestMesh, testSettings } from '../testing/mesh-from-yaml.ts';
import { answerReview } from '../webhook/review.ts';
import { clusterWorld } from '../webhook/cluster-world.ts';

/** A mesh of three namespaces: `shop` in the mesh, `outside` not, `empty` without pods; the root one has no pods either. */
const CLUSTER = `
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
kind: Namespace
metadata: {name: outside}
---
kind: Namespace
metadata: {name: empty, labels: {istio.io/dataplane-mode: ambient}}
---
kind: Namespace
metadata: {name: istio-system}
---
kind: GatewayClass
metadata: {name: istio-waypoint}
spec: {controllerName: istio.io/mesh-controller}
---
kind: Gateway
metadata: {namespace: shop, name: w}
spec: {gatewayClassName: istio-waypoint}
status: {addresses: [{value: 10.1.0.9}]}
---
kind: Gateway
metadata: {namespace: empty, name: pods, labels: {istio.io/waypoint-for: workload}}
spec: {gatewayClassName: istio-waypoint}
status: {addresses: [{value: 10.1.0.8}]}
---
kind: Service
metadata: {namespace: shop, name: behind, labels: {istio.io/use-waypoint: w}}
---
kind: Service
metadata: {namespace: shop, name: in-front}
---
kind: Pod
metadata: {namespace: shop, name: web, labels: {app: web}}
spec: {serviceAccountName: web}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
---
kind: Pod
metadata: {namespace: shop, name: w-1, labels: {gateway.networking.k8s.io/gateway-name: w, istio.io/dataplane-mode: none}}
spec: {serviceAccountName: w}
status: {phase: Running, podIPs: [{ip: 10.0.0.7}]}
---
kind: Pod
metadata: {namespace: shop, name: host, labels: {app: host}}
spec: {hostNetwork: true}
status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
---
kind: Pod
metadata: {namespace: shop, name: left-out, labels: {app: left-out, istio.io/dataplane-mode: none}}
status: {phase: Running, podIPs: [{ip: 10.0.0.3}]}
---
kind: Pod
metadata: {namespace: shop, name: ended, labels: {app: job}}
status: {phase: Succeeded, podIPs: [{ip: 10.0.0.4}]}
---
kind: Pod
metadata: {namespace: outside, name: plain, labels: {app: plain}}
status: {phase: Running, podIPs: [{ip: 10.0.0.5}]}
---
kind: Pod
metadata: {namespace: outside, name: by-itself, labels: {app: by-itself, istio.io/dataplane-mode: ambient}}
status: {phase: Running, podIPs: [{ip: 10.0.0.6}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: allotted}
spec: {hosts: [allotted.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
status: {addresses: [{host: allotted.com, value: 240.240.0.1}, {host: allotted.com, value: '2001:2::1'}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: named}
spec: {hosts: [named.com], addresses: [240.240.0.2], ports: [{number: 80, name: http}]}
`;

const mesh = new TestMesh();
mesh.apply(CLUSTER);
const context = {
  settings: testSettings,
  world: clusterWorld(mesh.inputs, mesh.graph, testSettings),
};

interface Asked {
  readonly kind?: string;
  readonly namespace?: string;
  readonly labels?: Record<string, string>;
  readonly spec?: object;
}

function warningsOf({ kind = 'AuthorizationPolicy', namespace = 'shop', labels, spec }: Asked) {
  const name = kind === 'Namespace' ? namespace : 'x';
  const metadata = { name, ...(kind !== 'Namespace' && { namespace }), ...(labels && { labels }) };
  const request = { uid: 'u', operation: 'CREATE', kind: { kind }, object: { metadata, spec } };
  const response = answerReview({ request }, context)?.response;
  expect(response?.allowed).toBe(true);
  return response?.warnings ?? [];
}

const from = (source: object) => ({ rules: [{ from: [{ source }] }] });
const select = (app: string) => ({ selector: { matchLabels: { app } } });
const target = (kind: string, name: string, group = '') => ({ targetRefs: [{ kind, name, group }] });
const RULES = [{ route: [{ destination: { host: 'behind' } }] }];
const GATEWAY_API = 'gateway.networking.k8s.io';

describe('what an object will not do in this cluster', () => {
  const cases: Record<string, { asked: Asked; want: readonly string[] }> = {
    'nothing to say': {
      asked: { spec: { ...select('web'), ...from({ namespaces: ['outside'] }) } },
      want: [],
    },
    'a VirtualService for what is behind a waypoint, for names elsewhere and for wildcards': {
      asked: {
        kind: 'VirtualService',
        spec: { hosts: ['behind', 'behind.shop.svc.cluster.local', 'a.example.com', '*.local'], http: RULES },
      },
      want: [],
    },
    'a VirtualService that nobody heeds': {
      asked: { kind: 'VirtualService', spec: { hosts: ['in-front', 'gone.shop'], http: RULES } },
      want: [
        'spec.hosts: Service shop/in-front is not bound to a waypoint, so nobody heeds what is said of it',
        'spec.hosts: there is no Service shop/gone',
      ],
    },
    'a VirtualService for a gateway': {
      asked: { kind: 'VirtualService', spec: { hosts: ['in-front'], gateways: ['ingress'], http: RULES } },
      want: ['spec.gateways: without mesh among them no waypoint heeds it'],
    },
    'tokens and reports for what is not there': {
      asked: { kind: 'Telemetry', spec: target('Service', 'gone') },
      want: ['spec.targetRefs[0]: Service shop/gone was not found; nobody enforces this policy there'],
    },
    'a selector that selects nothing': {
      asked: { spec: select('wbe') },
      want: ['spec.selector: selects no pod of namespace shop at present'],
    },
    'a pod that has ended is not selected': {
      asked: { spec: select('job') },
      want: ['spec.selector: selects no pod of namespace shop at present'],
    },
    'a selector where there are no pods yet': {
      asked: { namespace: 'empty', spec: select('web') },
      want: [],
    },
    'a selector of the mesh that selects nothing': {
      asked: { namespace: 'istio-system', spec: select('wbe') },
      want: ['spec.selector: selects no pod of the mesh at present'],
    },
    'a policy for the mesh': { asked: { namespace: 'istio-system', spec: {} }, want: [] },
    'a namespace outside the mesh': {
      asked: { namespace: 'outside', spec: select('plain') },
      want: [
        'metadata.namespace: no pod that this policy is for is in the mesh (label istio.io/dataplane-mode=ambient on namespace outside), so nobody enforces it',
      ],
    },
    'a pod that is in the mesh by itself': {
      asked: { namespace: 'outside', spec: select('by-itself') },
      want: [],
    },
    'a namespace that does not exist': {
      asked: { spec: from({ namespaces: ['shpo', '*', 'sh*'], notNamespaces: ['outsied'] }) },
      want: [
        'spec.rules[0].from[0].source.namespaces: there is no namespace "shpo"',
        'spec.rules[0].from[0].source.notNamespaces: there is no namespace "outsied"',
      ],
    },
    'an account of a namespace that does not exist': {
      asked: { spec: from({ serviceAccounts: ['shpo/web', 'web'] }) },
      want: ['spec.rules[0].from[0].source.serviceAccounts: there is no namespace "shpo"'],
    },
    'accounts that no pod runs as': {
      asked: { spec: from({ serviceAccounts: ['wbe', 'shop/wbe', 'web', 'outside/default', 'empty/any'] }) },
      want: [
        'spec.rules[0].from[0].source.serviceAccounts: no pod of namespace "shop" runs as service account "wbe" at present',
        'spec.rules[0].from[0].source.serviceAccounts: no pod of namespace "shop" runs as service account "wbe" at present',
      ],
    },
    'an identity that no pod runs as, and one by a pattern': {
      asked: { spec: from({ principals: ['cluster.local/ns/shop/sa/wbe', 'cluster.local/ns/shop/sa/*'] }) },
      want: [
        'spec.rules[0].from[0].source.principals: no pod of namespace "shop" runs as service account "wbe" at present',
      ],
    },
    'a provider that is not there': {
      asked: {
        spec: { action: 'CUSTOM', provider: { name: 'asker' }, ...target('Service', 'behind'), rules: [{}] },
      },
      want: [
        'spec.provider.name: the mesh\'s settings have no provider "asker" that authorizes, so what this policy is for is refused',
      ],
    },
    'identities: elsewhere, of no form, of a namespace that does not exist, and fine ones': {
      asked: {
        spec: from({
          principals: [
            'example.com/ns/shop/sa/web',
            'shop/web',
            'cluster.local/ns/shpo/sa/web',
            'cluster.local/ns/shop/sa/web',
            '*/sa/web',
          ],
        }),
      },
      want: [
        'spec.rules[0].from[0].source.principals: "example.com/ns/shop/sa/web" is of another trust domain than this mesh\'s, which is cluster.local',
        'spec.rules[0].from[0].source.principals: "shop/web" is not of the form TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, so it matches nobody',
        'spec.rules[0].from[0].source.principals: there is no namespace "shpo"',
      ],
    },
    conditions: {
      asked: {
        spec: {
          rules: [
            {
              when: [
                { key: 'source.namespace', values: ['shpo'] },
                { key: 'source.principal', notValues: ['web'] },
                { key: 'source.ip', values: ['10.0.0.1'] },
              ],
            },
          ],
        },
      },
      want: [
        'spec.rules[0].when[0].values: there is no namespace "shpo"',
        'spec.rules[0].when[1].notValues: "web" is not of the form TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, so it matches nobody',
      ],
    },
    'HTTP in a policy of ztunnels, beside a waypoint': {
      asked: { spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] } },
      want: [
        'spec.rules[0]: needs a waypoint (paths); without one these attributes are taken to match, so more is denied',
        'spec: waypoint shop/w could evaluate this policy, if targetRefs attached it to that, or to a Service behind it',
      ],
    },
    'a target behind a waypoint': { asked: { spec: target('Service', 'behind') }, want: [] },
    'a target that is a waypoint': { asked: { spec: target('Gateway', 'w', GATEWAY_API) }, want: [] },
    'a target in front of every waypoint': {
      asked: { spec: target('Service', 'in-front') },
      want: [
        'spec.targetRefs[0]: Service shop/in-front is not bound to a waypoint; nobody enforces this policy there',
      ],
    },
    'a target that does not exist': {
      asked: { spec: { targetRef: { kind: 'Gateway', name: 'v', group: GATEWAY_API } } },
      want: ['spec.targetRef: Gateway shop/v was not found; nobody enforces this policy there'],
    },
    'a class from another namespace than the root': {
      asked: { spec: target('GatewayClass', 'istio-waypoint', GATEWAY_API) },
      want: [
        'spec.targetRefs[0]: AuthorizationPolicy must be in the root namespace `istio-system` when referencing a GatewayClass; nobody enforces this policy there',
      ],
    },
    'STRICT beside pods outside the mesh': {
      asked: { kind: 'PeerAuthentication', spec: { mtls: { mode: 'STRICT' } } },
      want: ['spec.mtls.mode: 2 of 4 pods are not in the mesh and take plaintext all the same'],
    },
    'STRICT for pods of the mesh': {
      asked: { kind: 'PeerAuthentication', spec: { ...select('web'), mtls: { mode: 'STRICT' } } },
      want: [],
    },
    'STRICT where nobody is in the mesh': {
      asked: {
        kind: 'PeerAuthentication',
        namespace: 'outside',
        spec: { ...select('plain'), mtls: { mode: 'STRICT' } },
      },
      want: [
        'metadata.namespace: no pod that this policy is for is in the mesh (label istio.io/dataplane-mode=ambient on namespace outside), so nobody enforces it',
      ],
    },
    'a Service that asks for no waypoint': { asked: { kind: 'Service' }, want: [] },
    'a Service that asks for its waypoint': {
      asked: { kind: 'Service', labels: { 'istio.io/use-waypoint': 'w' } },
      want: [],
    },
    'a Service that asks for one that does not exist': {
      asked: { kind: 'Service', labels: { 'istio.io/use-waypoint': 'v' } },
      want: ['metadata.labels[istio.io/use-waypoint]: waypoint "shop/v" is not ready'],
    },
    'a Service that asks for one that does not take it': {
      asked: {
        kind: 'Service',
        namespace: 'outside',
        labels: { 'istio.io/use-waypoint': 'w', 'istio.io/use-waypoint-namespace': 'shop' },
      },
      want: [
        'metadata.labels[istio.io/use-waypoint]: we are not permitted to attach to waypoint "shop/w" (missing allowedRoutes?)',
      ],
    },
    'a Namespace that asks for its waypoint, of either kind': {
      asked: { kind: 'Namespace', namespace: 'empty', labels: { 'istio.io/use-waypoint': 'pods' } },
      want: [],
    },
    'a Namespace that asks for one that does not exist': {
      asked: { kind: 'Namespace', namespace: 'new', labels: { 'istio.io/use-waypoint': 'w' } },
      want: ['metadata.labels[istio.io/use-waypoint]: waypoint "new/w" is not ready'],
    },
    'a Namespace whose label takes nobody into the mesh': {
      asked: { kind: 'Namespace', namespace: 'new', labels: { 'istio.io/dataplane-mode': 'Ambient' } },
      want: [
        'metadata.labels[istio.io/dataplane-mode]: "Ambient" says nothing: ambient takes pods into the mesh, none keeps them out',
      ],
    },
    'a Namespace that keeps pods out': {
      asked: { kind: 'Namespace', namespace: 'new', labels: { 'istio.io/dataplane-mode': 'none' } },
      want: [],
    },
    'a Namespace that asks for sidecars': {
      asked: { kind: 'Namespace', namespace: 'new', labels: { 'istio-injection': 'enabled' } },
      want: [
        'metadata.labels[istio-injection]: nothing injects sidecars here; istio.io/dataplane-mode=ambient takes the pods into the mesh',
      ],
    },
    'a Namespace that came from a mesh with sidecars, and is in this one': {
      asked: {
        kind: 'Namespace',
        namespace: 'new',
        labels: { 'istio-injection': 'enabled', 'istio.io/dataplane-mode': 'ambient' },
      },
      want: [],
    },
    'a Namespace that opts out': {
      asked: { kind: 'Namespace', namespace: 'shop', labels: { 'istio.io/use-waypoint': 'none' } },
      want: [],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { asked, want }) => {
    expect(warningsOf(asked)).toEqual(want);
  });

  test('no more is said than anybody reads', () => {
    const namespaces = Array.from({ length: 50 }, (_, i) => `n${i}`);
    expect(warningsOf({ spec: from({ namespaces }) })).toHaveLength(10);
  });
});

describe('an update', () => {
  const bad = (spec: object, metadata = {}) => ({
    metadata: { namespace: 'shop', name: 'x', ...metadata },
    spec,
  });
  const review = (object: object, oldObject: object) =>
    answerReview(
      {
        request: { uid: 'u', operation: 'UPDATE', kind: { kind: 'AuthorizationPolicy' }, object, oldObject },
      },
      context,
    )?.response;

  test('of what is wrong already may change all but the specification', () => {
    const spec = { action: 'DENY' };
    expect(review(bad(spec, { finalizers: [] }), bad(spec, { finalizers: ['a/b'] }))).toEqual({
      uid: 'u',
      allowed: true,
    });
    expect(review(bad(spec), bad({}))?.allowed).toBe(false);
  });

  const withAnnotations = (kind: string, spec: object, annotations: object) => {
    const object = bad(spec, { annotations });
    const request = { uid: 'u', operation: 'UPDATE', kind: { kind }, object, oldObject: bad(spec) };
    return answerReview({ request }, context)?.response;
  };
  const host = { hosts: ['x.test'], resolution: 'STATIC', ports: [{ number: 80, name: 'http' }] };
  const rules = { hosts: ['behind'], http: RULES };

  test.each<[string, string, object, object, readonly string[] | undefined]>([
    [
      'a health check that cannot be read',
      'ServiceEntry',
      host,
      { 'ambit.mesh/health-check': 'ping' },
      ['metadata.annotations: No health check: ambit.mesh/health-check must be http, grpc or tcp'],
    ],
    ['one that can', 'ServiceEntry', host, { 'ambit.mesh/health-check': 'tcp' }, undefined],
    [
      'hedging that cannot be read',
      'VirtualService',
      rules,
      { 'ambit.mesh/hedge-after': 'soon' },
      ['metadata.annotations[ambit.mesh/hedge-after]: must be a duration from 1ms to 1m: it has no effect'],
    ],
    ['an annotation of somebody else', 'VirtualService', rules, { 'a.test/b': 'soon' }, undefined],
    [
      'one of what is wrong already',
      'ServiceEntry',
      { hosts: [] },
      { 'ambit.mesh/health-check': 'tcp' },
      undefined,
    ],
  ])('of annotations alone is warned about: %s', (_, kind, spec, annotations, warnings) => {
    expect(withAnnotations(kind, spec, annotations)).toEqual({
      uid: 'u',
      allowed: true,
      ...(warnings && { warnings }),
    });
  });

  test('of what is being deleted and is in force until then is looked at like any other', () => {
    const spec = { action: 'DENY' };
    const going = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['a/b'] };
    expect(review(bad(spec, going), bad({}, going))?.allowed).toBe(false);
    expect(review(bad(spec, { ...going, finalizers: [] }), bad(spec, going))?.allowed).toBe(true);
  });
});

describe('a ServiceEntry that names an address', () => {
  const refusalOf = (namespace: string, addresses: readonly string[], operation = 'CREATE') => {
    const ports = [{ number: 80, name: 'http' }];
    const object = { metadata: { namespace, name: 'x' }, spec: { hosts: ['x.com'], addresses, ports } };
    const oldObject = { ...object, spec: { ...object.spec, addresses: ['192.0.2.1'] } };
    const request = { uid: 'u', operation, kind: { kind: 'ServiceEntry' }, object, oldObject };
    const { response } = answerReview({ request }, context) ?? {};
    return response?.allowed === true ? undefined : response?.status?.message;
  };

  test.each([
    ['of its own namespace', 'shop', '240.240.0.1', undefined],
    ['that somebody names', 'outside', '240.240.0.2', undefined],
    ['that nobody has', 'outside', '240.240.0.3', undefined],
    ['allotted to another', 'outside', '240.240.0.1', '240.240.0.1'],
    ['allotted to another, as a block', 'outside', '240.240.0.1/32', '240.240.0.1/32'],
    ['allotted to another, written differently', 'outside', '2001:2:0::1', '2001:2:0::1'],
  ])('%s', (_, namespace, address, named) => {
    for (const operation of ['CREATE', 'UPDATE'])
      expect(refusalOf(namespace, ['192.0.2.9', address], operation)).toBe(
        named === undefined
          ? undefined
          : `invalid ServiceEntry: spec.addresses[1]: ${named} is allotted to a host of another namespace`,
      );
  });
});

test('pods are gone through once for a policy, however many accounts it names', () => {
  let looks = 0;
  const world = {
    ...context.world,
    pods: (namespace: string | undefined) => {
      looks += 1;
      return context.world.pods(namespace);
    },
  };
  const looksFor = (accounts: number) => {
    looks = 0;
    const many = (text: string) => Array.from({ length: accounts }, () => text);
    const rules = [
      ...from({ serviceAccounts: many('shop/default') }).rules,
      ...from({ principals: many(`${world.trustDomain}/ns/shop/sa/default`) }).rules,
    ];
    const object = { metadata: { name: 'x', namespace: 'shop' }, spec: { rules } };
    const request = { uid: 'u', operation: 'CREATE', kind: { kind: 'AuthorizationPolicy' }, object };
    expect(answerReview({ request }, { ...context, world })?.response.allowed).toBe(true);
    return looks;
  };
  const forOne = looksFor(1);
  expect(forOne).toBeGreaterThan(0);
  expect(looksFor(16)).toBe(forOne);
});
