import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Scheduler } from '@ambit/collections/scheduler';
import { StaticCollection } from '@ambit/collections/static';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { caSecretFiles } from '@ambit/identity/plugged-in-ca';
import { createSelfSignedMaterial } from '@ambit/identity/self-signed-ca';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { TokenReview } from '@ambit/kube/resources/authentication';
import type { Pod, Secret } from '@ambit/kube/resources/core';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { Metadata } from '@grpc/grpc-js';
import { type Caller, callerOf } from './caller.ts';
import { type Decision, mayActFor, NodeAuthorization, type PodView } from './node-authorization.ts';
import { RootSecret } from './root-secret.ts';
import { TokenAuthenticator } from './token-authenticator.ts';

describe('callerOf', () => {
  const user = {
    username: 'system:serviceaccount:shop:web',
    groups: ['system:serviceaccounts'],
    extra: {
      'authentication.kubernetes.io/pod-name': ['web-1'],
      'authentication.kubernetes.io/pod-uid': ['u'],
    },
  };
  const status = { authenticated: true, audiences: ['istio-ca'], user };
  const cases: Record<string, { status: TokenReview['status']; want: string }> = {
    'a token that is not valid': { status: { authenticated: false }, want: 'token not valid' },
    'a review that failed': { status: { ...status, error: 'no' }, want: 'token review: no' },
    'no status at all': { status: undefined, want: 'token not valid' },
    'another audience': { status: { ...status, audiences: ['api'] }, want: 'token not for istio-ca' },
    'no audience at all': { status: { authenticated: true, user }, want: 'token not for istio-ca' },
    'somebody who is no service account': {
      status: { ...status, user: { ...user, username: 'admin' } },
      want: 'admin is not a service account',
    },
    'a name like one without the group': {
      status: { ...status, user: { ...user, groups: ['system:masters'] } },
      want: 'system:serviceaccount:shop:web is not a service account',
    },
  };
  test.each(Object.entries(cases))('%s is nobody', (_, { status: given, want }) => {
    expect(callerOf({ status: given } as TokenReview, ['istio-ca'], 'td')).toBe(want);
  });

  test('a service account is who its token says, with its pod if that is said whole', () => {
    const identities = ['spiffe://td/ns/shop/sa/web'];
    const whole = callerOf({ status }, ['istio-ca', 'other'], 'td');
    expect(whole).toEqual({
      identities,
      namespace: 'shop',
      serviceAccount: 'web',
      pod: { name: 'web-1', uid: 'u' },
    });
    const half = {
      ...status,
      user: { ...user, extra: { 'authentication.kubernetes.io/pod-name': ['web-1'] } },
    };
    expect(callerOf({ status: half }, ['istio-ca'], 'td')).toMatchObject({ pod: undefined });
  });
});

const caller: Caller = {
  identities: ['spiffe://td/ns/istio-system/sa/ztunnel'],
  namespace: 'istio-system',
  serviceAccount: 'ztunnel',
  pod: { name: 'z', uid: 'z-uid' },
};
const own: Pod = {
  metadata: { namespace: 'istio-system', name: 'z', uid: 'z-uid' },
  spec: { nodeName: 'n1', serviceAccountName: 'ztunnel' },
};
const web = 'spiffe://td/ns/shop/sa/web';
const trustedAccounts = new Set(['istio-system/ztunnel']);

describe('mayActFor', () => {
  const view: PodView = {
    pod: (key) => (key === 'istio-system/z' ? own : undefined),
    runsOn: (node, account) => node === 'n1' && account === 'shop/web',
  };
  const decide = (over: { caller?: Partial<Caller>; identity?: string; own?: Pod }) =>
    mayActFor(
      { ...caller, ...over.caller },
      over.identity ?? web,
      { trustedAccounts, trustDomain: 'td' },
      {
        ...view,
        pod: (key) => (over.own ? over.own : view.pod(key)),
      },
    );

  test('a trusted proxy may act for what runs on its node', () =>
    expect(decide({})).toEqual({ kind: 'allowed' }));

  const cases: Record<string, { over: Parameters<typeof decide>[0]; kind: Decision['kind'] }> = {
    'no identity': { over: { identity: 'shop/web' }, kind: 'refused' },
    'another trust domain': { over: { identity: 'spiffe://other/ns/shop/sa/web' }, kind: 'refused' },
    'an account that is not trusted': { over: { caller: { serviceAccount: 'web' } }, kind: 'refused' },
    'an account of the same name elsewhere': { over: { caller: { namespace: 'shop' } }, kind: 'refused' },
    'a token bound to no pod': { over: { caller: { pod: undefined } }, kind: 'refused' },
    'a pod that is not there': {
      over: { caller: { pod: { name: 'other', uid: 'z-uid' } } },
      kind: 'unknown-pod',
    },
    'a pod of an earlier time': { over: { caller: { pod: { name: 'z', uid: 'old' } } }, kind: 'unknown-pod' },
    'a pod of another account': {
      over: { own: { ...own, spec: { nodeName: 'n1', serviceAccountName: 'x' } } },
      kind: 'refused',
    },
    'a pod on no node': {
      over: { own: { ...own, spec: { serviceAccountName: 'ztunnel' } } },
      kind: 'refused',
    },
    'a pod on another node': {
      over: { own: { ...own, spec: { nodeName: 'n2', serviceAccountName: 'ztunnel' } } },
      kind: 'unknown-pod',
    },
    'an account without a pod here': { over: { identity: 'spiffe://td/ns/shop/sa/db' }, kind: 'unknown-pod' },
  };
  test.each(Object.entries(cases))('%s', (_, { over, kind }) => expect(decide(over).kind).toBe(kind));
});

describe('NodeAuthorization', () => {
  test('a pod that failed counts for nothing; one without an account has the default one', async () => {
    const scheduler = new Scheduler({ defer: () => undefined, onError: () => undefined });
    const pod = (name: string, phase: string, account?: string): [string, Pod] => [
      `shop/${name}`,
      {
        metadata: { namespace: 'shop', name },
        spec: { nodeName: 'n1', ...(account && { serviceAccountName: account }) },
        status: { phase },
      },
    ];
    const initial: [string, Pod][] = [
      ['istio-system/z', own],
      pod('a', 'Failed', 'web'),
      pod('b', 'Running'),
    ];
    const pods = new StaticCollection({ name: 'pods', initial });
    const rushed = { ...systemClock, after: (_: number, run: () => void) => systemClock.after(10, run) };
    const nodes = new NodeAuthorization({
      pods,
      scheduler,
      trustedAccounts,
      trustDomain: 'td',
      clock: rushed,
    });
    scheduler.flush();
    await nodes.authorize(caller, 'spiffe://td/ns/shop/sa/default');
    await expect(nodes.authorize(caller, web)).rejects.toThrow('no pod of shop/web runs on node n1');
  });
});

describe('with an API server', () => {
  let api: FakeApiServer;
  let client: KubeClient;
  beforeEach(async () => {
    api = new FakeApiServer();
    const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
    client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
  });
  afterEach(async () => {
    client[Symbol.dispose]();
    await api[Symbol.asyncDispose]();
  });

  test('a good token is reviewed once in a while, a bad one each time', async () => {
    let authenticated = true;
    let nowMs = 0;
    api.intercept = () => ({
      status: 201,
      body: {
        status: {
          authenticated,
          audiences: ['istio-ca'],
          user: { username: 'system:serviceaccount:a:b', groups: ['system:serviceaccounts'] },
        },
      },
    });
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const tokens = new TokenAuthenticator({
      client,
      audiences: ['istio-ca'],
      trustDomain: 'td',
      clusterId: 'c1',
      clock,
    });
    const headers = (values: Record<string, string>) => Metadata.fromHttp2Headers(values);
    const bearer = headers({ authorization: 'Bearer t' });
    await Promise.all([tokens.authenticate(bearer), tokens.authenticate(bearer)]);
    await tokens.authenticate(bearer);
    expect(api.requests).toHaveLength(1);
    authenticated = false;
    nowMs = 10_001;
    await expect(tokens.authenticate(bearer)).rejects.toThrow('token not valid');
    await expect(tokens.authenticate(bearer)).rejects.toThrow('token not valid');
    expect(api.requests).toHaveLength(3);
    await expect(tokens.authenticate(headers({}))).rejects.toThrow('no bearer token');
    await expect(tokens.authenticate(headers({ authorization: 'Basic t' }))).rejects.toThrow(
      'no bearer token',
    );
    await expect(
      tokens.authenticate(headers({ authorization: `Bearer ${'x'.repeat(20_000)}` })),
    ).rejects.toThrow('token too long');
    await expect(
      tokens.authenticate(headers({ authorization: 'Bearer t', clusterid: 'c2' })),
    ).rejects.toThrow('unknown cluster "c2"');
    expect(api.requests).toHaveLength(3);
  });

  const YEAR_MS = 365 * 86_400_000;
  const root = (nowMs: number) =>
    new RootSecret({
      client,
      namespace: 'istio-system',
      name: 'istio-ca-secret',
      organization: 'td',
      lifetimeMs: 10 * YEAR_MS,
      overlapMs: 86_400_000,
      holdUp: () => undefined,
      clock: { ...systemClock, now: () => nowMs, sleep: () => Promise.resolve() },
      random: () => 0.5,
      log: silentLogger,
      events: { tell: () => undefined },
      observer: { problem: () => undefined, writtenBack: () => undefined },
    });
  const signal = new AbortController().signal;

  test('the root is renewed late in its life with the same key, by one replica for all', async () => {
    const startMs = Date.now();
    const made = await root(startMs).load(signal);
    const lateMs = startMs + 9 * YEAR_MS;
    const [first, second] = [0, 1].map(() => new CertificateAuthority(made, { clock: systemClock }));
    if (!first || !second) throw new Error('two were made');
    let changes = 0;
    const changed = () => (changes += 1);
    await root(startMs + YEAR_MS).look(first, changed, signal);
    expect(changes).toBe(0);
    await root(lateMs).look(first, changed, signal);
    await root(lateMs).look(second, changed, signal);
    expect(changes).toBe(2);
    const pem = first.material.signer.certificatePem;
    expect(second.material.signer.certificatePem).toBe(pem);
    const [before, after] = [new X509Certificate(made.signer.certificatePem), new X509Certificate(pem)];
    expect(after.validToDate.getTime()).toBeGreaterThan(before.validToDate.getTime());
    expect(after.publicKey.equals(before.publicKey)).toBe(true);
  });

  test("Istio's own secret, with its root under one name only, is taken over", async () => {
    const files = caSecretFiles(await createSelfSignedMaterial({ organization: 'td' }, systemClock));
    const data = {
      'ca-cert.pem': btoa(files['ca-cert.pem'] ?? ''),
      'ca-key.pem': btoa(files['ca-key.pem'] ?? ''),
      'root-cert.pem': '',
    };
    const metadata = { namespace: 'istio-system', name: 'istio-ca-secret' };
    api.put('/api/v1/secrets', { metadata, data } as Secret);
    expect((await root(Date.now()).load(signal)).rootsPem).toEqual([files['ca-cert.pem']]);
  });

  test('a server that is away is waited for; a secret that is no CA is not overwritten', async () => {
    let failures = 3;
    api.intercept = () => (failures-- > 0 ? { status: 503, body: {} } : undefined);
    await root(Date.now()).load(signal);
    const metadata = { namespace: 'istio-system', name: 'istio-ca-secret' };
    api.put('/api/v1/secrets', { metadata, data: { 'ca-cert.pem': btoa('nonsense') } } as Secret);
    await expect(root(Date.now()).load(AbortSignal.timeout(50))).rejects.toThrow();
    expect(api.find('/api/v1/secrets', 'istio-system', 'istio-ca-secret')).toMatchObject({
      data: { 'ca-cert.pem': btoa('nonsense') },
    });
  });
});
