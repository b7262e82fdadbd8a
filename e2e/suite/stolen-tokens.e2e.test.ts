import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CaClient } from '@ambit/identity/ca-client';
import { pathOf } from '@ambit/kube/resource';
import { configMaps, type Pod, serviceAccounts } from '@ambit/kube/resources/core';
import { type Forwarded, forwarded } from './kit/forward.ts';
import { SYSTEM } from './kit/mesh.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';

const suite = useSuite('tokens');
const CONTROL_PLANE_PORT = 15_012;
const REQUEST_TIMEOUT_MS = 20_000;

let space: Space;
let controlPlane: Forwarded;
let rootPem: string;

const identity = (account: string) => `spiffe://cluster.local/ns/${space.name}/sa/${account}`;

/** A token of a pod, as a thief reads it from the pod's volume. */
async function tokenOf({ metadata, spec }: Pod, audience = 'istio-ca'): Promise<string> {
  const place = { namespace: metadata.namespace, name: spec?.serviceAccountName, subresource: 'token' };
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      audiences: [audience],
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
  const stolen = async () => await tokenOf(await suite.mesh.podOf('ztunnel', suite.nodes[0]));

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
    const token = await tokenOf(await space.pod('here'));
    expect(await granted(token, identity('here'), false)).toBe(`granted ${identity('here')}`);
  });

  test('obtains no other, not even of its own node', async () => {
    const token = await tokenOf(await space.pod('here'));
    for (const account of ['there', 'default'])
      expect(await granted(token, identity(account), true)).toMatch(REFUSED);
  });
});

test('nobody’s token obtains nothing', async () => {
  expect(await granted('not-a-token', identity('here'), true)).toMatch(REFUSED);
});
