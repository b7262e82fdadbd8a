import { describe, expect, test } from '@jest/globals';
import { TestMesh, testSettings } from '../testing/mesh-from-yaml.ts';
import { clusterWorld } from '../webhook/cluster-world.ts';
import { objectFindings } from './object-findings.ts';

/** A namespace of the mesh with a waypoint, and one outside. */
const CLUSTER = `
kind: Namespace
metadata: {name: istio-system}
---
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
kind: Namespace
metadata: {name: outside}
---
kind: GatewayClass
metadata: {name: istio-waypoint}
spec: {controllerName: istio.io/mesh-controller}
---
kind: Gateway
metadata: {namespace: shop, name: w}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{value: 10.1.0.9}], conditions: [{type: Programmed, status: 'True', reason: Programmed}]}
---
kind: Service
metadata: {namespace: shop, name: behind, labels: {istio.io/use-waypoint: w}}
spec: {clusterIP: 10.1.0.1, ports: [{port: 80}]}
---
kind: Service
metadata: {namespace: shop, name: in-front}
spec: {clusterIP: 10.1.0.2, ports: [{port: 80}]}
---
kind: Pod
metadata: {namespace: shop, name: web, labels: {app: web}}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
`;

function found(yaml: string, namespace?: string): readonly string[] {
  const mesh = new TestMesh();
  mesh.apply(`${CLUSTER}---\n${yaml}`);
  const context = { settings: testSettings, world: clusterWorld(mesh.inputs, mesh.graph, testSettings) };
  return [...objectFindings(mesh.graph, context, namespace)]
    .flat()
    .map(
      ({ kind, namespace: of, name, level, reason, message }) =>
        `${level} ${kind} ${of === '' ? '' : `${of}/`}${name}: ${reason}: ${message}`,
    );
}

describe('what is wrong with objects that are stored', () => {
  const cases: Record<string, { yaml: string; want: readonly unknown[] }> = {
    'nothing, of a cluster where all is well': { yaml: '', want: [] },
    'what a status says and a warning too is told once': {
      yaml: `
kind: Service
metadata: {namespace: shop, name: lost, labels: {istio.io/use-waypoint: v}}
spec: {clusterIP: 10.1.0.3, ports: [{port: 80}]}
---
kind: AuthorizationPolicy
metadata: {namespace: shop, name: at-nobody}
spec: {targetRefs: [{kind: Service, group: '', name: in-front}], rules: [{}]}
`,
      want: [
        'error Service shop/lost: WaypointIsNotReady: waypoint "shop/v" is not ready',
        'error AuthorizationPolicy shop/at-nobody: AncestorNotBound: Service shop/in-front is not bound to a waypoint',
      ],
    },
    'what only a warning says': {
      yaml: `
kind: AuthorizationPolicy
metadata: {namespace: shop, name: misspelt}
spec: {selector: {matchLabels: {app: wbe}}, rules: [{from: [{source: {namespaces: [shpo]}}]}]}
`,
      want: [
        'warning AuthorizationPolicy shop/misspelt: Advice: spec.rules[0].from[0].source.namespaces: there is no namespace "shpo"',
        'warning AuthorizationPolicy shop/misspelt: Advice: spec.selector: selects no pod of namespace shop at present',
      ],
    },
    'a route whose backend is not there, and one that nobody applies': {
      yaml: `
kind: HTTPRoute
metadata: {namespace: shop, name: broken}
spec:
  parentRefs: [{kind: Service, group: '', name: behind, port: 80}]
  rules: [{backendRefs: [{name: gone, port: 80}]}]
---
kind: HTTPRoute
metadata: {namespace: shop, name: unheeded}
spec:
  parentRefs: [{kind: Service, group: '', name: in-front, port: 80}]
  rules: [{backendRefs: [{name: in-front, port: 80}]}]
`,
      want: [
        expect.stringMatching(/^error HTTPRoute shop\/broken: BackendNotFound: .*shop\/gone/),
        'warning HTTPRoute shop/unheeded: ResolvedWaypoints: istio.io/use-waypoint label missing from parent and parent namespace; in ambient mode, route will not be respected',
      ],
    },
    'a Gateway that is not ready, and one that is not ours to speak of': {
      yaml: `
kind: Gateway
metadata: {namespace: shop, name: slow}
spec: {gatewayClassName: istio-waypoint}
status:
  conditions:
    - {type: Programmed, status: 'False', reason: AddressNotAssigned, message: nothing is ready}
    - {type: example.org/Degraded, status: 'False', reason: Well, message: said by others}
---
kind: Gateway
metadata: {namespace: shop, name: ingress}
spec: {gatewayClassName: nginx}
status: {conditions: [{type: Programmed, status: 'False', reason: Pending, message: wait}]}
`,
      want: ['error Gateway shop/slow: AddressNotAssigned: nothing is ready'],
    },
    'an object that was stored although it is invalid': {
      yaml: `
kind: PeerAuthentication
metadata: {namespace: shop, name: bad}
spec: {mtls: {mode: STRONG}}
`,
      want: [expect.stringMatching(/^error PeerAuthentication shop\/bad: Invalid: spec\.mtls\.mode/)],
    },
    'labels that say nothing': {
      yaml: `
kind: Namespace
metadata: {name: misspelt, labels: {istio.io/dataplane-mode: ambiant}}
---
kind: Namespace
metadata: {name: with-sidecars, labels: {istio-injection: enabled}}
---
kind: Pod
metadata: {namespace: outside, name: alone, labels: {istio.io/dataplane-mode: 'true'}}
status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
`,
      want: [
        'warning Namespace misspelt: Advice: metadata.labels[istio.io/dataplane-mode]: "ambiant" says nothing: ambient takes pods into the mesh, none keeps them out',
        'warning Namespace with-sidecars: Advice: metadata.labels[istio-injection]: nothing injects sidecars here; istio.io/dataplane-mode=ambient takes the pods into the mesh',
        'warning Pod outside/alone: Advice: metadata.labels[istio.io/dataplane-mode]: "true" says nothing: ambient takes pods into the mesh, none keeps them out',
      ],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { yaml, want }) => {
    expect(found(yaml)).toEqual(want);
  });

  test('of one namespace, itself included', () => {
    const yaml = `
kind: Namespace
metadata: {name: misspelt, labels: {istio.io/dataplane-mode: ambiant}}
---
kind: AuthorizationPolicy
metadata: {namespace: shop, name: x}
spec: {selector: {matchLabels: {app: wbe}}}
`;
    expect(found(yaml, 'misspelt')).toEqual([expect.stringContaining('Namespace misspelt')]);
    expect(found(yaml, 'shop')).toEqual([expect.stringContaining('AuthorizationPolicy shop/x')]);
    expect(found(yaml, 'outside')).toEqual([]);
  });
});
