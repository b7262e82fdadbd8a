import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CaClient } from '@ambit/identity/ca-client';
import { AccessSource, accessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { apiVersionOf, type KubeObject, pathOf, type Resource } from '@ambit/kube/resource';
import {
  configMaps,
  deployments,
  type Pod,
  pods,
  secrets,
  serviceAccounts,
  services,
} from '@ambit/kube/resources/core';
import { horizontalPodAutoscalers, podDisruptionBudgets } from '@ambit/kube/resources/scaling';
import { authorizationPolicies } from '@ambit/kube/resources/security';
import { SERVICE_CONDITIONS } from '@ambit/istiod-lite/status/status-writers';
import { type Forwarded, forwarded } from './kit/forward.ts';
import { SYSTEM } from './kit/mesh.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';

const suite = useSuite('tokens');
const CONTROL_PLANE_PORT = 15_012;
const CA_AUDIENCE = 'istio-ca';
const REQUEST_TIMEOUT_MS = 20_000;

let space: Space;
let controlPlane: Forwarded;
let rootPem: string;

const identity = (account: string) => `spiffe://cluster.local/ns/${space.name}/sa/${account}`;

/** A token of a pod, as a thief reads it from the pod's volume. */
async function tokenOf({ metadata, spec }: Pod, audience?: string): Promise<string> {
  const place = { namespace: metadata.namespace, name: spec?.serviceAccountName, subresource: 'token' };
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      // Without one: that of the API server.
      ...(audience !== undefined && { audiences: [audience] }),
      expirationSeconds: 600,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid },
    },
  });
  const answer = await suite.cluster.client.request({
    method: 'POST',
    path: pathOf(serviceAccounts, place),
    body,
  });
  return (answer as { readonly status: { readonly token: string } }).status.token;
}

/** What the CA says to whoever holds `token` and asks for `wanted`: the identity it grants, or why it does not. */
async function granted(token: string, wanted: string, impersonate: boolean): Promise<string> {
  using client = new CaClient({
    address: `127.0.0.1:${controlPlane.port}`,
    root: { kind: 'pem', pem: rootPem },
    alternativeHost: 'istiod.istio-system.svc',
    token: { kind: 'literal', token },
    clusterId: 'Kubernetes',
    headers: {},
    impersonate,
    ttlMs: 600_000,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  return await client.fetch(wanted, AbortSignal.timeout(REQUEST_TIMEOUT_MS)).then(
    (certificate) => `granted ${certificate.identity}`,
    (error: unknown) => String(error),
  );
}

const REFUSED = /UNAUTHENTICATED|PERMISSION_DENIED|authenticat/i;

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('app', 'ambient');
  await space.apply(serviceAccount(space.name, 'here'), serviceAccount(space.name, 'there'));
  await space.run(
    { name: 'here', node: first, serviceAccount: 'here' },
    { name: 'there', node: second, serviceAccount: 'there' },
  );
  const { metadata } = await suite.mesh.podOf('istiod');
  const at = { namespace: SYSTEM, name: metadata.name, port: CONTROL_PLANE_PORT };
  controlPlane = await forwarded(suite.cluster.client, at);
  rootPem = await suite.mesh.rootsOf(space.name);
  await space.enrolled(true, 'here', 'there');
});
afterAll(() => controlPlane?.[Symbol.dispose]());

describe('the token of a node’s ztunnel', () => {
  const stolen = async () => await tokenOf(await suite.mesh.podOf('ztunnel', suite.nodes[0]), CA_AUDIENCE);

  test('obtains what the node’s pods need', async () => {
    expect(await granted(await stolen(), identity('here'), true)).toBe(`granted ${identity('here')}`);
  });

  test('obtains nothing of a pod on another node', async () => {
    expect(await granted(await stolen(), identity('there'), true)).toMatch(REFUSED);
  });

  test('obtains nothing of an account that no pod has', async () => {
    expect(await granted(await stolen(), identity('nobody'), true)).toMatch(REFUSED);
  });

  test('obtains nothing when it is for another audience', async () => {
    const token = await tokenOf(await suite.mesh.podOf('ztunnel', suite.nodes[0]), 'somebody-else');
    expect(await granted(token, identity('here'), true)).toMatch(REFUSED);
  });
});

describe('the token of a workload', () => {
  test('obtains its own identity', async () => {
    const token = await tokenOf(await space.pod('here'), CA_AUDIENCE);
    expect(await granted(token, identity('here'), false)).toBe(`granted ${identity('here')}`);
  });

  test('obtains no other, not even of its own node', async () => {
    const token = await tokenOf(await space.pod('here'), CA_AUDIENCE);
    for (const account of ['there', 'default'])
      expect(await granted(token, identity(account), true)).toMatch(REFUSED);
  });
});

/** What the API server says to whoever holds `token` and does `what`: `done` if it lets them. */
async function tried(token: string, what: (client: KubeClient) => Promise<unknown>): Promise<string> {
  const source = await accessSource({ kubeconfigPath: suite.cluster.file.kubeconfig }, systemClock);
  const { server, tls, namespace } = await source.current();
  const { ca, rejectUnauthorized } = tls;
  const access = {
    server,
    tls: { ...(ca && { ca }), ...(rejectUnauthorized !== undefined && { rejectUnauthorized }) },
    headers: { authorization: `Bearer ${token}` },
    namespace,
  };
  using client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
  return await what(client).then(() => 'done', String);
}

describe('the token of a node’s agent', () => {
  async function patched(pod: string, body: object): Promise<string> {
    const token = await tokenOf(await suite.mesh.podOf('agent', suite.nodes[0]));
    const at = { namespace: space.name, name: pod };
    return await tried(token, (client) =>
      client.patch(pods, at, { type: 'merge', body }, { subresource: 'status' }),
    );
  }
  const annotated = (annotations: object) => ({ metadata: { annotations } });
  /** What a thief would change here; the kubelet may write the rest meanwhile. */
  const told = ({ metadata: { labels, annotations }, status }: Pod) => ({
    ...{ labels, annotations, podIP: status?.podIP, podIPs: status?.podIPs },
    ready: status?.conditions?.find(({ type }) => type === 'Ready')?.status,
  });
  const REDIRECTION = 'ambient.istio.io/redirection';

  test('says that pods of its node are in the mesh', async () => {
    expect(await patched('here', annotated({ [REDIRECTION]: 'enabled' }))).toBe('done');
  });

  test.each([
    ['that pods of another node are not', 'there', annotated({ [REDIRECTION]: null }), /own node/],
    [
      'that a pod has another address',
      'here',
      { status: { podIP: '192.0.2.1', podIPs: [{ ip: '192.0.2.1' }] } },
      /status/,
    ],
    [
      'that a pod is ready',
      'here',
      { status: { conditions: [{ type: 'Ready', status: 'False' }] } },
      /status/,
    ],
    ['anything else in an annotation', 'here', annotated({ 'e2e/stolen': 'yes' }), /annotations/],
    ['anything in a label', 'here', { metadata: { labels: { app: 'there' } } }, /labels/],
  ])('does not say %s', async (_, pod, body, why) => {
    const before = told(await space.pod(pod));
    expect(await patched(pod, body)).toMatch(why);
    expect(told(await space.pod(pod))).toEqual(before);
  });
});

describe('the token of istiod', () => {
  const GATEWAY = 'gateway.networking.k8s.io/gateway-name';
  const labels = { [GATEWAY]: 'stolen', 'gateway.istio.io/managed': 'istio.io-mesh-controller' };
  const ownerReferences = [
    { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name: 'stolen', uid: 'none' },
  ];
  const refused = /ValidatingAdmissionPolicy 'istiod-/;
  const as = async (what: (client: KubeClient) => Promise<unknown>) =>
    await tried(await tokenOf(await suite.mesh.podOf('istiod')), what);
  /** Nothing of others is stored, whatever the answer is: where this fails, the cluster is to live on. */
  const dryRun = { dryRun: true, fieldManager: 'thief' } as const;
  const applied = (resource: Resource, body: KubeObject) =>
    as((client) => {
      const { namespace, name } = body.metadata;
      const place = { namespace, name };
      return client.patch(resource, place, { type: 'apply', body, force: true }, dryRun);
    });
  const of = (resource: Resource, spec: object, metadata: object = {}, namespace = space.name) => ({
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: { name: 'stolen', namespace, labels, ownerReferences, ...metadata },
    spec,
  });
  const matchLabels = { [GATEWAY]: 'stolen' };
  const deployment = (pod: object = {}, metadata: object = {}, namespace?: string) =>
    of(
      deployments,
      {
        selector: { matchLabels },
        template: {
          metadata: { labels: matchLabels },
          spec: {
            automountServiceAccountToken: false,
            containers: [{ name: 'istio-proxy', image: 'x' }],
            ...pod,
          },
        },
      },
      metadata,
      namespace,
    );
  const context = (securityContext: object) => ({
    containers: [{ name: 'istio-proxy', image: 'x', securityContext }],
  });
  const projected = (serviceAccountToken: object) => ({
    volumes: [{ name: 't', projected: { sources: [{ serviceAccountToken }] } }],
  });

  test('makes what a waypoint consists of', async () => {
    const token = { path: 't', audience: CA_AUDIENCE };
    expect(await applied(deployments, deployment(projected(token)))).toBe('done');
    expect(await applied(services, of(services, { selector: matchLabels, ports: [{ port: 80 }] }))).toBe(
      'done',
    );
    expect(await applied(podDisruptionBudgets, of(podDisruptionBudgets, { selector: { matchLabels } }))).toBe(
      'done',
    );
    const { spec: _, ...account } = of(serviceAccounts, {});
    expect(await applied(serviceAccounts, account)).toBe('done');
  });

  test.each<[string, object, RegExp]>([
    ['the files of a node', { volumes: [{ name: 'r', hostPath: { path: '/' } }] }, /their node's/],
    ['the network of a node', { hostNetwork: true }, /their node's/],
    ['a privileged container', context({ privileged: true }), /privileged/],
    ['a capability', context({ capabilities: { add: ['SYS_ADMIN'] } }), /capabilities/],
    ['no profile', { securityContext: { seccompProfile: { type: 'Unconfined' } } }, /profiles/],
    ['another account’s token', { serviceAccountName: 'here', automountServiceAccountToken: true }, /token/],
    ['such a token, as nobody says no', { automountServiceAccountToken: null }, /token/],
    ['a token for the API server among their files', projected({ path: 't' }), /token/],
  ])('makes no pods with %s', async (_, pod, why) => {
    const said = await applied(deployments, deployment(pod));
    expect(said).toMatch(refused);
    expect(said).toMatch(why);
  });

  test.each<[string, Resource, () => KubeObject]>([
    ['Deployment of nobody', deployments, () => deployment({}, { labels: matchLabels })],
    ['Deployment without a Gateway', deployments, () => deployment({}, { ownerReferences: [] })],
    ['waypoint in kube-system', deployments, () => deployment({}, {}, 'kube-system')],
    [
      'Service of other pods',
      services,
      () => of(services, { selector: { app: 'here' }, ports: [{ port: 80 }] }),
    ],
    [
      'Service with addresses of others',
      services,
      () => of(services, { selector: matchLabels, ports: [{ port: 80 }], externalIPs: ['192.0.2.1'] }),
    ],
    [
      'autoscaler of another Deployment',
      horizontalPodAutoscalers,
      () =>
        of(horizontalPodAutoscalers, {
          maxReplicas: 1,
          scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'here' },
        }),
    ],
    ['budget for all pods', podDisruptionBudgets, () => of(podDisruptionBudgets, { selector: {} })],
  ])('makes no %s', async (_, resource, body) => {
    expect(await applied(resource, body())).toMatch(refused);
  });

  test('changes nothing that is no waypoint’s, and deletes it neither', async () => {
    const { items } = await suite.cluster.client.list(deployments, { namespace: 'kube-system' });
    const dns = items.find(({ metadata }) => metadata.name.includes('dns'));
    if (!dns) throw new Error('not tested: no Deployment of DNS in kube-system');
    const at = { namespace: 'kube-system', name: dns.metadata.name };
    const patched = (body: object) =>
      as((client) => client.patch(deployments, at, { type: 'merge', body }, dryRun));
    expect(await patched({ spec: { replicas: 0 } })).toMatch(refused);
    // Also not by making it look like one.
    expect(await patched({ metadata: { labels, ownerReferences } })).toMatch(refused);
    const path = `${pathOf(deployments, at)}?dryRun=All`;
    expect(await as((client) => client.request({ method: 'DELETE', path }))).toMatch(refused);
  });

  test('says of a Service no more than whether its waypoint takes it', async () => {
    await space.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: space.name, name: 'here' },
      ...{ spec: { type: 'LoadBalancer', selector: { app: 'here' }, ports: [{ port: 80 }] } },
    });
    const patched = (body: object) =>
      as((client) =>
        client.patch(
          services,
          { namespace: space.name, name: 'here' },
          { type: 'merge', body },
          { subresource: 'status' },
        ),
      );
    const condition = (type: string) => ({
      status: {
        conditions: [
          { type, status: 'True', reason: 'X', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
        ],
      },
    });
    expect(await patched({ status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } })).toMatch(refused);
    expect(await patched({ metadata: { annotations: { a: 'b' } } })).toMatch(refused);
    expect(await patched(condition('example.org/Other'))).toMatch(refused);
    for (const type of SERVICE_CONDITIONS) expect(await patched(condition(type))).toBe('done');
  });

  test('makes no Secret that the API server fills with a token of another account', async () => {
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 'istio-ca-secret',
        namespace: SYSTEM,
        annotations: { 'kubernetes.io/service-account.name': 'istio-cni' },
      },
      ...{ type: 'kubernetes.io/service-account-token' },
    };
    expect(await as((client) => client.create(secrets, secret, dryRun))).toMatch(refused);
  });

  test('makes no ConfigMaps but the one with the roots, and no policies', async () => {
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'stolen', namespace: SYSTEM } };
    expect(await as((client) => client.create(configMaps, map, dryRun))).toMatch(refused);
    const deny = {
      apiVersion: apiVersionOf(authorizationPolicies),
      kind: 'AuthorizationPolicy',
      metadata: { name: 'stolen', namespace: SYSTEM },
      // It selects nobody, should it get in. Trials of policies are allowed, so this cannot be one.
      spec: { selector: { matchLabels: { 'ambit.e2e/nobody': 'here' } } },
    } as const;
    suite.atEnd(() => suite.cluster.remove(deny));
    expect(await as((client) => client.create(authorizationPolicies, deny))).toMatch(refused);
  });
});

test('nobody’s token obtains nothing', async () => {
  expect(await granted('not-a-token', identity('here'), true)).toMatch(REFUSED);
});
