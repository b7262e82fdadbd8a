import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AUTHORIZATION_TYPE_URL, decodeAuthorization } from '@ambit/api/authorization';
import { decodeWaypointResource, WAYPOINT_RESOURCE_KINDS, waypointTypeUrl } from '@ambit/api/waypoint';
import { ADDRESS_TYPE_URL, decodeAddress } from '@ambit/api/workload';
import { type Clock, systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { freePort } from '@ambit/core/testing/free-port';
import { until } from '@ambit/core/watch';
import { CaClient } from '@ambit/identity/ca-client';
import { controlPlaneChannel } from '@ambit/identity/control-plane-tls';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import { caSecretFiles } from '@ambit/identity/plugged-in-ca';
import { createSelfSignedMaterial } from '@ambit/identity/self-signed-ca';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import type { ValidatingWebhookConfiguration } from '@ambit/kube/resources/authentication';
import type { ConfigMap } from '@ambit/kube/resources/core';
import type { BackendTlsPolicy } from '@ambit/kube/resources/backend-tls';
import type { GatewayClass } from '@ambit/kube/resources/gateway';
import type { HttpRoute } from '@ambit/kube/resources/routes';
import type { AuthorizationPolicy } from '@ambit/kube/resources/security';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { DeltaXdsClient } from '@ambit/xds/client';
import { type ControlPlane, startControlPlane } from './app.ts';
import { type Config, configFrom } from './config.ts';
import { UNKNOWN_POD_WAIT_MS } from './limits.ts';
import { ANY_PORTS } from './testing/any-ports.ts';

const PODS = '/api/v1/pods';
const SERVICES = '/api/v1/services';
const NAMESPACES = '/api/v1/namespaces';
const CONFIG_MAPS = '/api/v1/configmaps';
const SECRETS = '/api/v1/secrets';
const POLICIES = '/apis/security.istio.io/v1/authorizationpolicies';
const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';

/** Whom the API server takes the bearers of these tokens for. */
const BEARERS: Record<string, { account: string; pod?: string }> = {
  'ztunnel-n1': { account: 'istio-system:ztunnel', pod: 'ztunnel-n1' },
  'ztunnel-gone': { account: 'istio-system:ztunnel', pod: 'ztunnel-gone' },
  'ztunnel-unbound': { account: 'istio-system:ztunnel' },
  web: { account: 'shop:web', pod: 'web' },
};

const REFUSAL_OF_THE_CHECK =
  'admission webhook "rev.validation.istio.io" denied the request: invalid AuthorizationPolicy: metadata.annotations: refused for the sake of internal.istio.io/webhook-always-reject';

function reviewToken(method: string, path: string, body: unknown) {
  if (method !== 'POST' || !path.endsWith('/tokenreviews')) return undefined;
  const { token, audiences } = (body as { spec: { token: string; audiences: string[] } }).spec;
  const bearer = BEARERS[token];
  const extra = bearer?.pod && {
    'authentication.kubernetes.io/pod-name': [bearer.pod],
    'authentication.kubernetes.io/pod-uid': [`uid-of-${bearer.pod}`],
  };
  const user = bearer && {
    username: `system:serviceaccount:${bearer.account}`,
    groups: ['system:serviceaccounts'],
    ...(extra && { extra }),
  };
  return {
    status: 201,
    body: { status: bearer ? { authenticated: true, audiences, user } : { authenticated: false } },
  };
}

const namespace = (name: string) => ({ metadata: { name } });
const pod = (ns: string, name: string, node: string, ip: string) => ({
  metadata: { namespace: ns, name, uid: `uid-of-${name}`, labels: { app: name } },
  spec: { nodeName: node, serviceAccountName: ns === 'istio-system' ? 'ztunnel' : name },
  status: { phase: 'Running', podIPs: [{ ip }], conditions: [{ type: 'Ready', status: 'True' }] },
});
const policy = (name: string, spec: object) => ({
  metadata: { namespace: 'shop', name, generation: 1 },
  spec,
});

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;
let url: string;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  api.intercept = reviewToken;
  url = await api.start();
  const access = { server: new URL(url), tls: {}, headers: {}, namespace: 'default' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  for (const name of ['istio-system', 'shop', 'kube-system', 'kube-public'])
    api.put(NAMESPACES, namespace(name));
  api.put(PODS, pod('istio-system', 'ztunnel-n1', 'n1', '10.0.0.9'));
});
afterEach(() => scope.disposeAsync());

/** For what the machine is slow at; nothing here is measured by it. */
const PATIENCE_MS = 60_000;
const START_PATIENCE_MS = 60_000;

async function start(env: Record<string, string> = {}, clock: Clock = systemClock): Promise<ControlPlane> {
  const config: Config = configFrom({ ...ANY_PORTS, ROOT_CA_DIR: '/nonexistent', ...env });
  const deps = { client, version: 'test', clock, random: systemRandom, log: silentLogger };
  return scope.use(await startControlPlane(config, deps, AbortSignal.timeout(PATIENCE_MS)));
}

async function eventually<T>(what: () => T | undefined | false, deadlineMs = PATIENCE_MS): Promise<T> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let leftMs = deadlineMs; leftMs > 0; leftMs -= 5) {
    const value = what();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never came true: ${what.toString()}`);
}

const find = <T extends KubeObject>(path: string, ns: string, name: string) =>
  api.find(path, ns, name) as T | undefined;
const rootOf = (ns: string) =>
  find<ConfigMap>(CONFIG_MAPS, ns, 'istio-ca-root-cert')?.data?.['root-cert.pem'];

/** A ztunnel's state of the mesh, by resource name. */
async function follow(
  plane: Pick<ControlPlane, 'ports'>,
  token: string,
  nodeNamespace = 'istio-system',
  metadata: Readonly<Record<string, string>> = {},
) {
  const root = await eventually(() => rootOf('istio-system'));
  const held = new Map<string, unknown>();
  const withdrawn: string[] = [];
  const handler = (typeUrl: string, decode: (value: Uint8Array) => unknown) => ({
    typeUrl,
    onDemand: false,
    apply: ({
      upserts,
      removed,
    }: {
      upserts: readonly { name: string; value: Uint8Array }[];
      removed: readonly string[];
    }) => {
      for (const { name, value } of upserts) held.set(name, decode(value));
      for (const name of removed) held.delete(name);
      withdrawn.push(...removed);
      return [];
    },
    held: () => new Map(),
  });
  const address = `localhost:${plane.ports.secure}`;
  const xds = new DeltaXdsClient({
    address,
    channel: () => Promise.resolve(controlPlaneChannel(address, [root])),
    headers: () => Promise.resolve({ authorization: `Bearer ${token}`, clusterid: 'Kubernetes' }),
    node: {
      id: `ztunnel~10.0.0.9~ztunnel-n1.${nodeNamespace}~${nodeNamespace}.svc.cluster.local`,
      cluster: '',
      metadata: { NODE_NAME: 'n1', NAMESPACE: nodeNamespace, ...metadata },
    },
    types: [
      handler(ADDRESS_TYPE_URL, (value) => decodeAddress(value).type?.value),
      handler(AUTHORIZATION_TYPE_URL, decodeAuthorization),
      ...WAYPOINT_RESOURCE_KINDS.map((kind) =>
        handler(waypointTypeUrl(kind), (value) => decodeWaypointResource(kind, value)),
      ),
    ],
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  scope.use(xds);
  await xds.start(AbortSignal.timeout(PATIENCE_MS));
  return { xds, held, withdrawn };
}

async function requestCertificate(plane: ControlPlane, token: string, identity: string, impersonate = true) {
  const root = await eventually(() => rootOf('istio-system'));
  using ca = new CaClient({
    address: `localhost:${plane.ports.secure}`,
    root: { kind: 'pem', pem: root },
    token: { kind: 'literal', token },
    clusterId: 'Kubernetes',
    headers: {},
    impersonate,
    ttlMs: 3_600_000,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  return await ca.fetch(identity, AbortSignal.timeout(PATIENCE_MS));
}

test('nodes lose their taint also where the namespace of the agents is not looked at', async () => {
  api.put(CONFIG_MAPS, {
    metadata: { namespace: 'istio-system', name: 'istio' },
    data: { mesh: 'discoverySelectors: [{matchLabels: {mesh: "yes"}}]' },
  } as KubeObject);
  api.put('/api/v1/nodes', {
    metadata: { name: 'n1' },
    spec: { taints: [{ key: 'cni.istio.io/not-ready', effect: 'NoSchedule' }] },
  } as KubeObject);
  const agent = pod('istio-system', 'istio-cni-node-x', 'n1', '10.0.0.8');
  api.put(PODS, { ...agent, metadata: { ...agent.metadata, labels: { 'k8s-app': 'istio-cni-node' } } });
  await start({ PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS: 'true' });
  await eventually(() => api.requests.some((line) => line.startsWith('PATCH /api/v1/nodes/n1')));
});

describe('the settings of the mesh', () => {
  const say = (mesh: string) =>
    api.put(CONFIG_MAPS, {
      metadata: { namespace: 'istio-system', name: 'istio' },
      data: { mesh },
    } as KubeObject);

  test('name the trust domain of every identity, and the namespace of policies for all', async () => {
    say('trustDomain: mesh.example.com\nrootNamespace: policies');
    api.put(PODS, pod('shop', 'web', 'n1', '10.0.0.1'));
    api.put(POLICIES, { ...policy('all', {}), metadata: { namespace: 'policies', name: 'all' } });
    const plane = await start({ TRUST_DOMAIN: 'of-the-environment' });
    const { xds, held } = await follow(plane, 'ztunnel-n1');
    await until(xds.synced, Boolean, AbortSignal.timeout(PATIENCE_MS));
    expect(held.get('Kubernetes//Pod/shop/web')).toMatchObject({ trustDomain: 'mesh.example.com' });
    expect(held.get('policies/all')).toMatchObject({ scope: 0 });
    const own = 'spiffe://mesh.example.com/ns/shop/sa/web';
    expect((await requestCertificate(plane, 'web', own, false)).identity).toBe(own);
  });

  test('are waited for while the API server does not answer', async () => {
    let refusals = 0;
    api.intercept = (method, path, body) =>
      path.endsWith('/configmaps/istio') && ++refusals < 3
        ? { status: 503, body: {} }
        : reviewToken(method, path, body);
    say('trustDomain: mesh.example.com');
    const plane = await start();
    expect(refusals).toBe(3);
    const { xds, held } = await follow(plane, 'ztunnel-n1');
    await until(xds.synced, Boolean, AbortSignal.timeout(PATIENCE_MS));
    expect(held.get('Kubernetes//Pod/istio-system/ztunnel-n1')).toMatchObject({
      trustDomain: 'mesh.example.com',
    });
  });
});

describe('xDS', () => {
  test('what is there at the start, and every change, reaches a ztunnel', async () => {
    api.put(PODS, pod('shop', 'web', 'n1', '10.0.0.1'));
    const plane = await start();
    const { xds, held } = await follow(plane, 'ztunnel-n1');
    await until(xds.synced, Boolean, AbortSignal.timeout(PATIENCE_MS));
    expect([...held.keys()].sort()).toEqual([
      'Kubernetes//Pod/istio-system/ztunnel-n1',
      'Kubernetes//Pod/shop/web',
    ]);
    api.put(SERVICES, {
      metadata: { namespace: 'shop', name: 'web' },
      spec: { clusterIPs: ['10.1.0.1'], selector: { app: 'web' }, ports: [{ port: 80 }] },
    } as KubeObject);
    api.put(
      POLICIES,
      policy('p', {
        selector: { matchLabels: { app: 'web' } },
        rules: [{ from: [{ source: { namespaces: ['shop'] } }] }],
      }),
    );
    await eventually(() => held.has('shop/web.shop.svc.cluster.local') && held.has('shop/p'));
    await eventually(() => {
      const workload = held.get('Kubernetes//Pod/shop/web') as {
        authorizationPolicies: string[];
        services: Map<string, unknown>;
      };
      return workload.authorizationPolicies.includes('shop/p') && workload.services.size === 1;
    });
    api.remove(PODS, 'shop', 'web');
    await eventually(() => !held.has('Kubernetes//Pod/shop/web'));
  });

  test.each(
    Object.entries({
      'an unknown token': { token: 'nobody', ns: 'istio-system' },
      'a token of another namespace than the node says': { token: 'web', ns: 'istio-system' },
    }),
  )('%s gets nothing', async (_, { token, ns }) => {
    const { xds, held } = await follow(await start(), token, ns);
    await systemClock.sleep(300);
    expect(xds.synced.value).toBe(false);
    expect(held.size).toBe(0);
  });
});

/** What a Service's address is: leads each new connection to the first replica that says it is ready. */
async function serviceAddress(replicas: readonly ControlPlane[]): Promise<number> {
  const isReady = ({ ports }: ControlPlane) =>
    fetch(`http://127.0.0.1:${ports.http}/ready`).then(
      ({ status }) => status === 200,
      () => false,
    );
  const server = createServer(async (socket) => {
    socket.on('error', () => undefined);
    for (const replica of replicas) {
      if (!(await isReady(replica))) continue;
      const onward = connect(replica.ports.secure, '127.0.0.1');
      onward.on('error', () => undefined);
      onward.on('close', () => socket.destroy());
      socket.on('close', () => onward.destroy());
      socket.pipe(onward).pipe(socket);
      return;
    }
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('replicas', () => {
  test('a waypoint gets what is for it, nobody else does, and the route says what became of it', async () => {
    const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
    const gateway = {
      metadata: { namespace: 'shop', name: 'waypoint' },
      status: { addresses: [{ type: 'Hostname', value: 'waypoint.shop.svc.cluster.local' }] },
    };
    api.put(`${GATEWAY_API}/gateways`, gateway as KubeObject);
    const labels = { 'istio.io/use-waypoint': 'waypoint' };
    api.put(SERVICES, {
      metadata: { namespace: 'shop', name: 'cart', labels },
      spec: { clusterIPs: ['10.1.0.1'], ports: [{ port: 80 }] },
    } as KubeObject);
    api.put(`${GATEWAY_API}/gateways`, { metadata: { namespace: 'shop', name: 'other' } } as KubeObject);
    for (const name of ['waypoint', 'other', 'made-up']) {
      const { metadata, spec } = pod('shop', name, 'n1', '10.0.0.7');
      const of = { ...metadata, labels: { 'gateway.networking.k8s.io/gateway-name': name } };
      api.put(PODS, { metadata: of, spec: { ...spec, serviceAccountName: 'web' } } as KubeObject);
    }
    const plane = await start();
    const waypoint = await follow(plane, 'web', 'shop', { GATEWAY_NAME: 'waypoint' });
    const others = [
      await follow(plane, 'web', 'shop', { GATEWAY_NAME: 'other' }),
      await follow(plane, 'ztunnel-n1'),
    ];
    const impostors = [
      await follow(plane, 'web', 'shop', { GATEWAY_NAME: 'nobody' }),
      await follow(plane, 'web', 'shop', { GATEWAY_NAME: 'made-up' }),
      await follow(plane, 'ztunnel-n1', 'istio-system', { GATEWAY_NAME: 'waypoint' }),
    ];
    for (const { xds } of [waypoint, ...others])
      await until(xds.synced, Boolean, AbortSignal.timeout(PATIENCE_MS));
    expect(waypoint.held.has('default')).toBe(true);
    api.put(`${GATEWAY_API}/httproutes`, {
      metadata: { namespace: 'shop', name: 'cart', generation: 1 },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'cart' }],
        rules: [{ backendRefs: [{ name: 'cart', port: 80 }] }],
      },
    } as KubeObject);
    await eventually(() => waypoint.held.has('HTTPRoute/shop/cart'));
    const conditions = () =>
      find<HttpRoute>(`${GATEWAY_API}/httproutes`, 'shop', 'cart')?.status?.parents?.[0]?.conditions;
    await eventually(() => conditions()?.filter(({ status }) => status === 'True').length === 3);
    expect(conditions()?.map(({ type, status }) => `${type} ${status}`)).toEqual([
      'Accepted True',
      'ResolvedRefs True',
      'ResolvedWaypoints True',
    ]);
    for (const { held } of others) expect([...held.keys()]).not.toContain('HTTPRoute/shop/cart');
    for (const { held } of impostors) expect([...held.keys()]).toEqual([]);

    const policies = `${GATEWAY_API}/backendtlspolicies`;
    const name = 'BackendTLSPolicy/shop/cart.shop.svc.cluster.local';
    api.put(policies, {
      metadata: { namespace: 'shop', name: 'cart' },
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name: 'cart' }],
        validation: {
          hostname: 'cart.example.com',
          caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'authorities' }],
        },
      },
    } as KubeObject);
    const accepted = (reason: string) =>
      eventually(() => {
        const [ancestor] = find<BackendTlsPolicy>(policies, 'shop', 'cart')?.status?.ancestors ?? [];
        return ancestor?.conditions?.find((one) => one.reason === reason);
      });
    expect(await accepted('NoValidCACertificate')).toMatchObject({ type: 'Accepted', status: 'False' });
    const refusing = await eventually(() => waypoint.held.get(name));
    // Of any authority: what is at hand is our own.
    const certificates = await eventually(() => rootOf('shop'));
    api.put(CONFIG_MAPS, {
      metadata: { namespace: 'shop', name: 'authorities' },
      data: { 'ca.crt': certificates },
    } as KubeObject);
    await accepted('Accepted');
    await eventually(() => waypoint.held.get(name) !== refusing);
  });

  test('a rollout loses no push and withdraws nothing', async () => {
    api.put(PODS, pod('shop', 'web', 'n1', '10.0.0.1'));
    const drain = { AMBIT_DRAIN_NOTICE: '200ms', AMBIT_DRAIN_SPREAD: '100ms' };
    const first = await start(drain);
    const replicas = [first, await start(drain)];
    const secure = await serviceAddress(replicas);
    const ports = { ...first.ports, secure };
    const followers = await Promise.all([1, 2, 3].map(() => follow({ ports }, 'ztunnel-n1')));
    for (const { xds } of followers) await until(xds.synced, Boolean, AbortSignal.timeout(PATIENCE_MS));
    let written = 0;
    const writing = setInterval(() => {
      written += 1;
      // As many as there is time for: the machine says how long a rollout takes.
      api.put(PODS, pod('shop', `w${written}`, 'n1', `10.1.${written >> 8}.${written & 255}`));
    }, 20);
    // The new one comes before the old one goes, twice, so that nobody is with a replica of before.
    for (const old of [...replicas]) {
      replicas.push(await start(drain));
      await old.stop();
    }
    clearInterval(writing);
    for (const { held, withdrawn } of followers) {
      const all = Array.from({ length: written }, (_, i) => `Kubernetes//Pod/shop/w${i + 1}`);
      await eventually(() => all.every((name) => held.has(name)));
      expect(withdrawn).toEqual([]);
      expect(held.has('Kubernetes//Pod/shop/web')).toBe(true);
    }
  });

  test('what is written once is written by one, and by the next when that one stops', async () => {
    const first = await start();
    await eventually(() => ['istio-system', 'shop', 'kube-system'].every((ns) => rootOf(ns)));
    const second = await start();
    const writes = () =>
      api.requests.filter((line) => /^(POST|PATCH|PUT) .*(configmaps|validatingwebhook)/.test(line)).length;
    const before = writes();
    await systemClock.sleep(300);
    expect(writes()).toBe(before);
    await first.stop();
    api.remove(CONFIG_MAPS, 'shop', 'istio-ca-root-cert');
    await eventually(() => rootOf('shop'));
    await second.stop();
  });
});

describe('two revisions', () => {
  const CLASSES = '/apis/gateway.networking.k8s.io/v1/gatewayclasses';
  const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

  test('have one that writes the status of the class, and the other does when that one stops', async () => {
    const status = { properties: { supportedFeatures: { type: 'array', items: { type: 'object' } } } };
    api.put(DEFINITIONS, {
      metadata: { name: 'gatewayclasses.gateway.networking.k8s.io' },
      spec: { versions: [{ name: 'v1', schema: { openAPIV3Schema: { properties: { status } } } }] },
    } as KubeObject);
    const features = () => {
      const found = api.find(CLASSES, '', 'istio-waypoint') as GatewayClass | undefined;
      return found?.status?.supportedFeatures?.map(({ name }) => name);
    };
    const first = await start();
    await eventually(() => features()?.includes('Mesh'));
    const second = await start({ REVISION: 'canary' });
    const written = () =>
      api.requests.filter((line) => line.startsWith('PATCH') && line.includes('gateway-controller-features'))
        .length;
    const before = written();
    // As one of another version would, who supports something else: the one that leads puts it back, and it alone.
    const found = api.find(CLASSES, '', 'istio-waypoint') as GatewayClass;
    const other = { ...found.status, supportedFeatures: [{ name: 'Other' }] };
    api.put(CLASSES, { ...found, status: other } as GatewayClass);
    await eventually(() => features()?.includes('Mesh'));
    await systemClock.sleep(300);
    expect(written() - before).toBe(1);
    await first.stop();
    const { status: _, ...bare } = api.find(CLASSES, '', 'istio-waypoint') as GatewayClass;
    api.put(CLASSES, bare as GatewayClass);
    await eventually(() => features()?.includes('Mesh'));
    await second.stop();
  });
});

describe('the CA', () => {
  const web = 'spiffe://cluster.local/ns/shop/sa/web';

  test('gives a node the certificates of its own pods', async () => {
    api.put(PODS, pod('shop', 'web', 'n1', '10.0.0.1'));
    const certificate = await requestCertificate(await start(), 'ztunnel-n1', web);
    expect(certificate.identity).toBe(web);
    expect(certificate.rootsPem.join('')).toBe(rootOf('istio-system'));
  });

  test('waits for a pod that it has not heard of yet', async () => {
    const patient: Clock = {
      ...systemClock,
      after: (ms, run) => systemClock.after(ms === UNKNOWN_POD_WAIT_MS ? PATIENCE_MS : ms, run),
    };
    const plane = await start({}, patient);
    setTimeout(() => api.put(PODS, pod('shop', 'web', 'n1', '10.0.0.1')), 300);
    expect((await requestCertificate(plane, 'ztunnel-n1', web)).identity).toBe(web);
  });

  test('gives a workload its own identity', async () => {
    const certificate = await requestCertificate(await start(), 'web', web, false);
    expect(certificate.identity).toBe(web);
  });

  const refused: Record<string, { token: string; identity: string; node?: string; want: string }> = {
    'somebody without a token that is good': {
      token: 'nobody',
      identity: web,
      want: 'request authenticate failure',
    },
    'a workload that asks for another': {
      token: 'web',
      identity: 'spiffe://cluster.local/ns/shop/sa/db',
      want: 'request impersonation authentication failure',
    },
    'a node that asks for a pod of another node': {
      token: 'ztunnel-n1',
      identity: web,
      node: 'n2',
      want: 'request impersonation authentication failure',
    },
    'a proxy whose pod is no more': {
      token: 'ztunnel-gone',
      identity: web,
      node: 'n1',
      want: 'request impersonation authentication failure',
    },
    'a token that is bound to no pod': {
      token: 'ztunnel-unbound',
      identity: web,
      node: 'n1',
      want: 'request impersonation authentication failure',
    },
    'another trust domain': {
      token: 'ztunnel-n1',
      identity: 'spiffe://elsewhere/ns/shop/sa/web',
      node: 'n1',
      want: 'request impersonation authentication failure',
    },
    'what is no identity': {
      token: 'ztunnel-n1',
      identity: 'spiffe://cluster.local/shop',
      node: 'n1',
      // The client does not even ask; ca.test.ts has what the server says to one that does.
      want: 'not a SPIFFE identity',
    },
  };
  test.each(Object.entries(refused))('refuses %s', async (_, { token, identity, node, want }) => {
    if (node) api.put(PODS, pod('shop', 'web', node, '10.0.0.1'));
    await expect(requestCertificate(await start(), token, identity)).rejects.toThrow(want);
  });

  test('survives a restart, and is shared by two replicas that start together', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    const root = await eventually(() => rootOf('shop'));
    await first.stop();
    await second.stop();
    api.remove(CONFIG_MAPS, 'shop', 'istio-ca-root-cert');
    await start();
    expect(await eventually(() => rootOf('shop'))).toBe(root);
    expect(find(SECRETS, 'istio-system', 'istio-ca-secret')).toMatchObject({ type: 'istio.io/ca-root' });
  });

  test("the operator's own CA is used where there is one, and a new one of theirs reaches everybody", async () => {
    const directory = await mkdtemp(join(tmpdir(), 'ambit-cacerts-'));
    scope.defer(() => rm(directory, { recursive: true }));
    const install = async () => {
      const files = caSecretFiles(await createSelfSignedMaterial({ intermediate: true }, systemClock));
      for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
      return files['root-cert.pem'];
    };
    const first = await install();
    const plane = await start({ ROOT_CA_DIR: directory });
    expect(await eventually(() => rootOf('shop'))).toBe(first);
    api.put(PODS, pod('shop', 'web', 'n1', '10.0.0.1'));
    expect((await requestCertificate(plane, 'ztunnel-n1', web)).rootsPem.join('')).toBe(first);
    const second = await install();
    await eventually(() => rootOf('shop') === second && rootOf('istio-system') === second);
    expect((await requestCertificate(plane, 'ztunnel-n1', web)).rootsPem.join('')).toBe(second);
    expect(find(SECRETS, 'istio-system', 'istio-ca-secret')).toBeUndefined();
  });

  test("its root is in every namespace but Kubernetes' own, and put back when it is touched", async () => {
    await start();
    const root = await eventually(() => rootOf('kube-system'));
    api.put(CONFIG_MAPS, {
      metadata: { namespace: 'shop', name: 'istio-ca-root-cert' },
      data: { 'root-cert.pem': 'other' },
    } as KubeObject);
    await eventually(() => rootOf('shop') === root);
    api.put(NAMESPACES, namespace('new'));
    await eventually(() => rootOf('new') === root);
    api.remove(CONFIG_MAPS, 'new', 'istio-ca-root-cert');
    await eventually(() => rootOf('new') === root);
    expect(rootOf('kube-public')).toBeUndefined();
  });
});

/** Asks the webhook as the API server does. */
async function review(
  plane: ControlPlane,
  body: unknown,
  ca: string,
): Promise<{ status: number; body: unknown }> {
  const outgoing = request({
    host: 'localhost',
    port: plane.ports.webhook,
    path: '/validate',
    method: 'POST',
    ca,
    servername: 'istiod.istio-system.svc',
    // Each time with a handshake of its own.
    agent: false,
  });
  outgoing.end(JSON.stringify(body));
  const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, body: JSON.parse(text) as unknown };
}

describe('validation', () => {
  const admission = (object: unknown, kind = 'AuthorizationPolicy') => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u',
      operation: 'CREATE',
      kind: { group: 'security.istio.io', version: 'v1', kind },
      object,
    },
  });
  const bad = policy('bad', { action: 'DENY', rules: [{ to: [{ operation: { ports: ['http'] } }] }] });

  test('a connection that says nothing is closed by the webhook', async () => {
    const plane = await start();
    const silent = connect({ host: 'localhost', port: plane.ports.webhook });
    silent.on('error', () => undefined);
    silent.resume();
    await once(silent, 'close');
  });

  test('the webhook refuses what is wrong, in words, and warns of what is doubtful', async () => {
    const plane = await start();
    const root = await eventually(() => rootOf('istio-system'));
    expect(await review(plane, admission(bad), root)).toMatchObject({
      status: 200,
      body: {
        kind: 'AdmissionReview',
        response: {
          uid: 'u',
          allowed: false,
          status: {
            message:
              'invalid AuthorizationPolicy: spec.rules[0].to[0].operation.ports: "http" is not a port from 1 to 65535',
          },
        },
      },
    });
    const doubtful = policy('l7', { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/a'] } }] }] });
    expect(await review(plane, admission(doubtful), root)).toMatchObject({
      body: {
        response: {
          allowed: true,
          warnings: expect.arrayContaining([expect.stringContaining('needs a waypoint (paths)')]),
        },
      },
    });
    expect(await review(plane, admission({ metadata: { name: 'x' } }, 'Sidecar'), root)).toMatchObject({
      body: { response: { allowed: true } },
    });
    expect((await review(plane, { request: {} }, root)).status).toBe(400);
    expect((await review(plane, 'nonsense', root)).status).toBe(400);
  });

  test('its configuration gets our root and is closed', async () => {
    const webhook = {
      name: 'rev.validation.istio.io',
      failurePolicy: 'Ignore',
      clientConfig: { service: { name: 'istiod', namespace: 'istio-system' } },
    };
    api.put(WEBHOOKS, {
      metadata: { name: 'istio-validator-istio-system' },
      webhooks: [webhook],
    } as KubeObject);
    api.put(WEBHOOKS, { metadata: { name: 'not-ours' }, webhooks: [webhook] } as KubeObject);
    api.intercept = (method, path, body) =>
      method === 'POST' && path.endsWith('/authorizationpolicies')
        ? { status: 422, body: { message: REFUSAL_OF_THE_CHECK } }
        : reviewToken(method, path, body);
    await start();
    const root = await eventually(() => rootOf('istio-system'));
    const wanted = {
      ...webhook,
      failurePolicy: 'Fail',
      clientConfig: { ...webhook.clientConfig, caBundle: btoa(root) },
    };
    await eventually(() =>
      JSON.stringify(
        find<KubeObject & { webhooks: unknown }>(WEBHOOKS, '', 'istio-validator-istio-system')?.webhooks,
      ).includes('Fail'),
    );
    expect(find(WEBHOOKS, '', 'istio-validator-istio-system')).toMatchObject({ webhooks: [wanted] });
    expect(find(WEBHOOKS, '', 'not-ours')).toMatchObject({ webhooks: [webhook] });
  });

  test('another CA is shown to the API server only once its configuration has that root', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'ambit-cacerts-'));
    scope.defer(() => rm(directory, { recursive: true }));
    const bring = async (material: AuthorityMaterial) => {
      for (const [name, content] of Object.entries(caSecretFiles(material)))
        await writeFile(join(directory, name), content);
    };
    const [first, second] = await Promise.all(
      [1, 2].map(() => createSelfSignedMaterial({ organization: 'operator' }, systemClock)),
    );
    const [before = '', after = ''] = [first, second].map((material) => material?.rootsPem.join(''));
    if (!first || !second) throw new Error('two were asked for');
    const webhook = { name: 'rev.validation.istio.io', failurePolicy: 'Fail' };
    const configuration = 'istio-validator-istio-system';
    api.put(WEBHOOKS, {
      metadata: { name: configuration },
      webhooks: [{ ...webhook, clientConfig: { caBundle: btoa(before) } }],
    } as KubeObject);
    let refused = 0;
    api.intercept = (method, path, body) => {
      if (method !== 'PUT' || !path.startsWith(WEBHOOKS)) return reviewToken(method, path, body);
      refused += 1;
      return { status: 500, body: { message: 'not now' } };
    };
    await bring(first);
    const plane = await start({ ROOT_CA_DIR: directory });
    const asked = (root: string) =>
      review(plane, admission(bad), root).then(
        ({ status }) => status,
        () => 'not believed',
      );
    expect([await asked(before), await asked(after)]).toEqual([200, 'not believed']);

    await bring(second);
    await eventually(() => refused >= 2);
    expect([await asked(before), await asked(after)]).toEqual([200, 'not believed']);

    api.intercept = reviewToken;
    const bundle = () =>
      find<ValidatingWebhookConfiguration>(WEBHOOKS, '', configuration)?.webhooks?.[0]?.clientConfig
        ?.caBundle;
    await eventually(() => bundle() === btoa(`${after}${before}`));
    await comesTrue(async () => (await asked(after)) === 200);
    expect(await asked(before)).toBe('not believed');
  });

  test('a start that waits for the API server to be told ends when it is told to', async () => {
    const { rootsPem } = await createSelfSignedMaterial({ organization: 'another' }, systemClock);
    const webhook = { name: 'rev.validation.istio.io', failurePolicy: 'Fail' };
    api.put(WEBHOOKS, {
      metadata: { name: 'istio-validator-istio-system' },
      webhooks: [{ ...webhook, clientConfig: { caBundle: btoa(rootsPem.join('')) } }],
    } as KubeObject);
    api.intercept = (method, path, body) =>
      method === 'PUT' && path.startsWith(WEBHOOKS)
        ? { status: 403, body: { message: 'not you' } }
        : reviewToken(method, path, body);
    const told = new AbortController();
    const deps = {
      client,
      version: 'test',
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      // The last step before it waits.
      collectGarbage: () => void systemClock.after(100, () => told.abort(new Error('SIGTERM'))),
    };
    const config = configFrom({ ...ANY_PORTS, ROOT_CA_DIR: '/nonexistent' });
    const starting = startControlPlane(config, deps, told.signal).then((plane) => scope.use(plane));
    await expect(starting).rejects.toThrow('SIGTERM');
  });

  test('what got in all the same reaches no proxy as it is: it refuses, and its status says so', async () => {
    api.put(POLICIES, bad);
    const { held } = await follow(await start(), 'ztunnel-n1');
    expect(await eventually(() => held.get('shop/bad'))).toMatchObject({
      action: 1,
      rules: [{ clauses: [] }],
    });
    const condition = () => find<AuthorizationPolicy>(POLICIES, 'shop', 'bad')?.status?.conditions?.[0];
    expect(await eventually(condition)).toMatchObject({
      type: 'ZtunnelAccepted',
      status: 'False',
      reason: 'Invalid',
      observedGeneration: 1,
    });
    const writes = () => api.requests.filter((line) => line.includes('/bad/status')).length;
    const before = writes();
    await systemClock.sleep(200);
    expect(writes()).toBe(before);
  });
});

describe('settings of the mesh that are wrong', () => {
  const put = (mesh: string) =>
    api.put(CONFIG_MAPS, {
      metadata: { namespace: 'istio-system', name: 'istio' },
      data: { mesh },
    } as ConfigMap);
  const WRONG = 'discoverySelectors: [{matchLabel: {mesh: "yes"}}]';
  const PROBLEM = 'mesh.discoverySelectors[0].matchLabel: is not a known field';
  const told = () =>
    api.requests.filter((line) => line === 'POST /api/v1/namespaces/istio-system/events').length;
  const gauge = async (port: number) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return /^ambit_istiod_mesh_config_problem (\d)$/m.exec(text)?.[1];
  };

  test('keep a control plane from its first start, in sight of everybody, until they are right', async () => {
    put(WRONG);
    const [http, monitoring] = [await freePort(), await freePort()];
    const starting = start({ AMBIT_HTTP_PORT: String(http), AMBIT_MONITORING_PORT: String(monitoring) });
    await eventually(() => told() === 1);
    const ready = await fetch(`http://127.0.0.1:${http}/ready`);
    expect([ready.status, await ready.text()]).toEqual([503, `starting: ${PROBLEM}\n`]);
    expect(await gauge(monitoring)).toBe('1');
    // Nobody's pods are taken in, and nothing is written, on the strength of settings that nobody knows.
    expect(rootOf('shop')).toBeUndefined();
    put('discoverySelectors: [{matchLabels: {mesh: "yes"}}]');
    const { ports } = await starting;
    expect(await gauge(ports.monitoring)).toBe('0');
    expect((await fetch(`http://127.0.0.1:${http}/ready`)).status).toBe(200);
  });

  test('while it runs leave the last good ones in force, and are told once', async () => {
    put('{}');
    const { ports } = await start();
    put(WRONG);
    await eventually(() => told() === 1);
    expect(await gauge(ports.monitoring)).toBe('1');
    expect((await fetch(`http://127.0.0.1:${ports.http}/ready`)).status).toBe(200);
    put('trustDomain: td');
    await comesTrue(async () => (await gauge(ports.monitoring)) === '0');
    expect(told()).toBe(1);
  });
});

async function comesTrue(what: () => Promise<boolean>): Promise<void> {
  for (let leftMs = PATIENCE_MS; leftMs > 0; leftMs -= 5) {
    if (await what()) return;
    await systemClock.sleep(5);
  }
  throw new Error(`never came true: ${what.toString()}`);
}

describe('the process', () => {
  test(
    'starts, says that it is ready, and ends well when told to',
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'ambit-istiod-'));
      scope.defer(() => rm(directory, { recursive: true }));
      const path = join(directory, 'kubeconfig');
      await writeFile(
        path,
        JSON.stringify({
          'current-context': 'c',
          contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
          clusters: [{ name: 'k', cluster: { server: url } }],
          users: [{ name: 'u', user: {} }],
        }),
      );
      const child = spawn(process.execPath, [new URL('./main.ts', import.meta.url).pathname], {
        env: { ...ANY_PORTS, KUBECONFIG: path, LOG_FORMAT: 'json', ROOT_CA_DIR: directory },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      scope.defer(() => void child.kill('SIGKILL'));
      let output = '';
      child.stdout.on('data', (chunk) => (output += String(chunk)));
      child.stderr.on('data', (chunk) => (output += String(chunk)));
      const serving = await eventually(
        () => output.split('\n').find((line) => line.includes('"serving"')),
        START_PATIENCE_MS,
      );
      const { http, monitoring } = JSON.parse(serving) as { http: number; monitoring: number };
      expect((await fetch(`http://127.0.0.1:${http}/ready`)).status).toBe(200);
      expect(await (await fetch(`http://127.0.0.1:${http}/debug/krtz`)).text()).toContain(
        'addresses: 1 from',
      );
      const mesh = (await (await fetch(`http://127.0.0.1:${http}/debug/ambientz`)).json()) as {
        workloads: unknown[];
      };
      expect(mesh.workloads).toHaveLength(1);
      const metrics = await (await fetch(`http://127.0.0.1:${monitoring}/metrics`)).text();
      expect(metrics).toContain('ambit_istiod_resources{type="address"} 1\n');
      expect(metrics).toContain('ambit_istiod_webhook_configurations_unwritten{by="name"} 0\n');
      expect(output).not.toContain('PRIVATE KEY');
      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number];
      expect(code).toBe(0);
    },
    2 * START_PATIENCE_MS,
  );

  test('with nonsense in its environment does not start, and says what all is wrong', () => {
    const env = {
      AMBIT_HTTP_PORT: '70000',
      CA_TRUSTED_NODE_ACCOUNTS: 'ztunnel',
      AMBIT_L7_POLICY_WITHOUT_WAYPOINT: 'maybe',
    };
    expect(() => configFrom(env)).toThrow(
      /CA_TRUSTED_NODE_ACCOUNTS=ztunnel[\s\S]*AMBIT_L7_POLICY_WITHOUT_WAYPOINT=maybe/,
    );
  });
});
