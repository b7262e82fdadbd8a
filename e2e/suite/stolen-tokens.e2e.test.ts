import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CaClient } from '@ambit/identity/ca-client';
import { AccessSource, accessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { pathOf } from '@ambit/kube/resource';
import { configMaps, type Pod, pods, serviceAccounts } from '@ambit/kube/resources/core';
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
  const roots = await suite.cluster.client.get(configMaps, {
    namespace: space.name,
    name: 'istio-ca-root-cert',
  });
  rootPem = roots.data?.['root-cert.pem'] ?? '';
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

describe('the token of a node’s agent', () => {
  /** As whoever holds the token: what the API server says to a change of a pod, `done` if it makes it. */
  async function patched(pod: string, body: object): Promise<string> {
    const token = await tokenOf(await suite.mesh.podOf('agent', suite.nodes[0]));
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
    return await client
      .patch(pods, { namespace: space.name, name: pod }, { type: 'merge', body }, { subresource: 'status' })
      .then(() => 'done', String);
  }
  const annotated = (annotations: object) => ({ metadata: { annotations } });
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
    const before = await space.pod(pod);
    expect(await patched(pod, body)).toMatch(why);
    expect((await space.pod(pod)).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });
});

test('nobody’s token obtains nothing', async () => {
  expect(await granted('not-a-token', identity('here'), true)).toMatch(REFUSED);
});
