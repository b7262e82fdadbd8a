import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { isMostlyWithin } from '@ambit/core/testing/mostly-within';
import { H2 } from '@ambit/http/h2/protocol';
import { LATE_ANSWER_MS } from '@ambit/http/limits';
import { createRevocationList } from '@ambit/identity/x509';
import { MISSING_POLICY_WAIT_MS } from './limits.ts';
import {
  ALICE,
  ALICE_IP,
  BOB,
  BOB_IP,
  ip6Of,
  OUTSIDE_IP,
  type Talk,
  WorkerNetwork,
} from '../testing/worker-network.ts';

const VIP = '10.96.0.9';
const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, clusterId: Kubernetes, workloadName: alice, workloadType: deployment, canonicalName: alice, canonicalRevision: v1, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, clusterId: Kubernetes, workloadName: bob, workloadType: deployment, canonicalName: bob, canonicalRevision: v1, workloadIps: [${BOB_IP}], protocol: HBONE, services: {shop/bob.shop.svc.cluster.local: {80: 8080}}}
services:
  - {name: bob, namespace: shop, hostname: bob.shop.svc.cluster.local, vips: [/${VIP}], ports: {80: 8080}}
`;
const denyTo = (port: number) =>
  `policies: [{name: no, namespace: shop, scope: Namespace, action: Deny, rules: [[[{destinationPorts: [${port}]}]]], dryRun: false}]`;
const STRICT =
  'policies: [{name: strict, namespace: shop, scope: Namespace, action: Deny, rules: [[[{notPrincipals: [{Presence: null}]}]]], dryRun: false}]';

/** However an application hears that its connection is over. */
const CLOSED = /end|close|ECONNRESET/;

let network: WorkerNetwork;
/** Who connected to the applications. */
let callers: string[];

const echo = () =>
  network.serve('bob', 8080, (socket) => {
    callers.push(socket.remoteAddress ?? '');
    socket.pipe(socket);
  });

/** How long a policy is waited for: as ever, where a test does not say otherwise. */
let policyWaitMs: number;
const clock: Clock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(ms === MISSING_POLICY_WAIT_MS ? policyWaitMs : ms, run),
};

beforeEach(async () => {
  policyWaitMs = MISSING_POLICY_WAIT_MS;
  network = await WorkerNetwork.create({}, undefined, clock);
  callers = [];
});
afterEach(async () => await network[Symbol.asyncDispose]());

async function meshed(): Promise<void> {
  network.mesh(MESH);
  expect(await network.start('alice')).toEqual({ kind: 'pod-started', uid: 'alice' });
  expect(await network.start('bob')).toEqual({ kind: 'pod-started', uid: 'bob' });
  echo();
}

describe('between two pods of the mesh', () => {
  test('a connection to a service goes through a tunnel, from the client as the server sees it', async () => {
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    expect(await talk.ask('hello there')).toBe('hello there');
    expect(callers).toEqual([ALICE_IP]);
    expect(network.connections()).toMatchObject([
      {
        direction: 'outbound',
        originalDst: `${VIP}:80`,
        actualDst: `${BOB_IP}:15008`,
        protocol: 'HBONE',
        bytesSent: 11,
      },
      { direction: 'inbound', actualDst: `${BOB_IP}:8080`, srcIdentity: ALICE, dstIdentity: BOB },
    ]);
    expect(network.metric('istio_tcp_sockets_open').map(({ value }) => value)).toEqual([1, 1]);
    talk.socket.end();
    expect(await talk.ended).toBe('end');
    const names = {
      'src.workload': 'alice-0',
      'src.identity': ALICE,
      'dst.workload': 'bob-0',
      'dst.identity': BOB,
      'dst.addr': `${BOB_IP}:15008`,
      'dst.hbone_addr': `${BOB_IP}:8080`,
      'dst.service': 'bob.shop.svc.cluster.local',
      bytes_sent: 11,
      bytes_recv: 11,
      level: 'info',
    };
    expect(await network.logged('outbound')).toMatchObject({
      ...names,
      'src.addr': expect.stringMatching(ALICE_IP),
    });
    expect(await network.logged('inbound')).toMatchObject({
      ...names,
      'src.addr': expect.stringMatching(ALICE_IP),
    });
    expect(network.connections()).toEqual([]);
    for (const name of ['opened', 'closed'])
      expect(
        network
          .metric(`istio_tcp_connections_${name}`)
          .map(({ labels, value }) => [
            labels['reporter'],
            labels['connection_security_policy'],
            labels['response_flags'],
            value,
          ]),
      ).toEqual([
        ['source', 'mutual_tls', '-', 1],
        ['destination', 'mutual_tls', '-', 1],
      ]);
    expect(network.said.filter(({ kind }) => kind === 'need-certificate')).toHaveLength(2);
  });

  test('the server sees clients at ports that their own connections do not have', async () => {
    await meshed();
    const ports: number[] = [];
    network.serve('bob', 8081, (socket) => {
      ports.push(socket.remotePort ?? 0);
      socket.end('who');
    });
    for (let i = 0; i < 8; i += 1) {
      const talks = await Promise.all([
        network.connect('alice', BOB_IP, 8081),
        network.connect('outside', BOB_IP, 8081),
      ]);
      await Promise.all(talks.map((talk) => talk.ended));
    }
    expect(ports).toHaveLength(16);
    expect(Math.max(...ports)).toBeLessThan(32_768);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(10_240);
  });

  test('a request in two parts, and one that ends, wait for no answer to their CONNECT', async () => {
    await meshed();
    network.serve('bob', 8081, (socket) => {
      let heard = '';
      socket.on('data', (chunk) => {
        heard += chunk.toString();
        if (heard === 'question') socket.end('answer');
      });
      socket.on('end', () => socket.end(`no more than ${heard}`));
    });
    const ask = async (say: (talk: Talk) => Promise<void>): Promise<string> => {
      const talk = await network.connect('alice', BOB_IP, 8081);
      talk.socket.setNoDelay(true);
      await say(talk);
      await talk.ended;
      return talk.text;
    };
    const inTwoParts = () =>
      ask(async ({ socket }) => {
        socket.write('ques');
        await systemClock.sleep(5);
        socket.write('tion');
      });
    const andEnd = () => ask(async ({ socket }) => void socket.end('ques'));
    expect([await inTwoParts(), await andEnd()]).toEqual(['answer', 'no more than ques']);
    const both = async () => {
      await inTwoParts();
      await andEnd();
    };
    expect(await isMostlyWithin(LATE_ANSWER_MS, both)).toBe(true);
  });

  test('each direction ends by itself', async () => {
    await meshed();
    network.serve('bob', 8081, (socket) => {
      const heard: Buffer[] = [];
      socket
        .on('data', (chunk: Buffer) => heard.push(chunk))
        .once('end', () => socket.end(`heard ${String(Buffer.concat(heard))}`));
    });
    const talk = await network.connect('alice', BOB_IP, 8081);
    talk.socket.end('all I say');
    await talk.ended;
    expect(talk.text).toBe('heard all I say');
  });

  test('many at a time share few tunnels', async () => {
    await meshed();
    const talks = await Promise.all(Array.from({ length: 150 }, () => network.connect('alice', VIP, 80)));
    expect(new Set(await Promise.all(talks.map((talk, i) => talk.ask(`${1000 + i}`)))).size).toBe(150);
    const tunnels = network.netns('bob').run('ss', '-Htn', 'state', 'established', 'sport', '=', ':15008');
    expect(tunnels.trim().split('\n')).toHaveLength(2);
  });

  test('an application that is not there closes the connection, with the status in the log', async () => {
    await meshed();
    const talk = await network.connect('alice', BOB_IP, 9999);
    expect(await talk.ended).toMatch(CLOSED);
    expect(await network.logged('outbound')).toMatchObject({ error: 'http status: 503' });
    expect(await network.logged('inbound')).toMatchObject({
      error: `could not connect to ${BOB_IP}:9999: ECONNREFUSED`,
    });
    const failed = network
      .metric('istio_tcp_connections_failed')
      .map(({ labels }) => labels['response_flags']);
    expect(failed).toEqual(['CONNECT', 'CONNECT']);
  });

  test('a pod whose workload is not known yet waits for it', async () => {
    await network.start('alice');
    await network.start('bob');
    echo();
    const talk = await network.connect('alice', BOB_IP, 8080);
    const answer = talk.ask('hello');
    await systemClock.sleep(100);
    network.mesh(MESH);
    expect(await answer).toBe('hello');
  });

  test('without a certificate of our own nothing leaves', async () => {
    network.refused.add(ALICE);
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    expect(await talk.ended).toMatch(CLOSED);
    expect(await network.logged('outbound')).toMatchObject({
      error: `no certificate for ${ALICE}: the CA says no`,
    });
    expect(network.metric('istio_tcp_connections_failed')[0]?.labels).toMatchObject({
      response_flags: 'IDENTITY_ERROR',
    });
    expect(callers).toEqual([]);
  });
});

describe('in clear', () => {
  test('from outside to a pod, from the client as the server sees it, without an identity', async () => {
    await meshed();
    const talk = await network.connect('outside', BOB_IP, 8080);
    expect(await talk.ask('hello')).toBe('hello');
    expect(callers).toEqual([OUTSIDE_IP]);
    talk.socket.destroy();
    const line = await network.logged('inbound');
    expect(line).toMatchObject({ 'dst.workload': 'bob-0', 'dst.addr': `${BOB_IP}:8080`, bytes_recv: 5 });
    expect(Object.keys(line)).not.toEqual(expect.arrayContaining(['src.identity']));
    expect(Object.keys(line)).not.toEqual(expect.arrayContaining(['dst.hbone_addr']));
  });

  test('from a pod to an address that nobody knows', async () => {
    await meshed();
    network.serve('outside', 7000, (socket) => socket.pipe(socket));
    const talk = await network.connect('alice', OUTSIDE_IP, 7000);
    expect(await talk.ask('hello')).toBe('hello');
    expect(network.connections()).toMatchObject([{ protocol: 'TCP', actualDst: `${OUTSIDE_IP}:7000` }]);
    talk.socket.end();
    await talk.ended;
    expect(await network.logged('outbound')).toMatchObject({
      'dst.addr': `${OUTSIDE_IP}:7000`,
      bytes_sent: 5,
    });
  });

  test('back into the proxy leads nowhere', async () => {
    await meshed();
    for (const [from, ip, port] of [
      ['outside', BOB_IP, 15_001],
      ['outside', BOB_IP, 15_006],
      ['alice', ALICE_IP, 15_001],
      ['alice', '127.0.0.1', 15_001],
      ['alice', BOB_IP, 15_006],
    ] as const) {
      const talk = await network.connect(from, ip, port);
      expect(await talk.ended).toMatch(CLOSED);
    }
    expect(callers).toEqual([]);
  });
});

describe('policy', () => {
  test('refuses with a reason in both logs', async () => {
    await meshed();
    network.mesh(denyTo(8080));
    const talk = await network.connect('alice', VIP, 80);
    expect(await talk.ended).toMatch(CLOSED);
    expect(await network.logged('outbound')).toMatchObject({ error: 'http status: 401' });
    expect(await network.logged('inbound')).toMatchObject({
      level: 'error',
      policies: 'shop/no',
      error: 'connection closed due to policy rejection: explicitly denied by: shop/no',
    });
    const flags = network
      .metric('istio_tcp_connections_failed')
      .map(({ labels }) => labels['response_flags']);
    expect(new Set(flags)).toEqual(new Set(['CONNECT', 'DENY']));
    expect(callers).toEqual([]);
  });

  test('that allows others alone is named beside the reason, which has Istio’s words', async () => {
    await meshed();
    network.mesh(denyTo(8080).replace('Deny', 'Allow').replace('8080', '8081'));
    for (const [from, ip] of [
      ['alice', VIP],
      ['outside', BOB_IP],
    ] as const) {
      const talk = await network.connect(from, ip, from === 'alice' ? 80 : 8080);
      expect(await talk.ended).toMatch(CLOSED);
      expect(await network.logged('inbound')).toMatchObject({
        policies: 'shop/no',
        error: 'connection closed due to policy rejection: allow policies exist, but none allowed',
      });
      network.accessLog.length = 0;
    }
    expect(callers).toEqual([]);
  });

  test('STRICT refuses clear text and lets tunnels in', async () => {
    await meshed();
    network.mesh(STRICT);
    expect(await (await network.connect('outside', BOB_IP, 8080)).ended).toMatch(CLOSED);
    expect(await (await network.connect('alice', BOB_IP, 8080)).ask('hello')).toBe('hello');
    expect(callers).toEqual([ALICE_IP]);
  });

  test('that changes cuts what it now refuses, and nothing else', async () => {
    await meshed();
    network.serve('bob', 8082, (socket) => socket.pipe(socket));
    const [tunnelled, plain, other] = await Promise.all([
      network.connect('alice', VIP, 80),
      network.connect('outside', BOB_IP, 8080),
      network.connect('alice', BOB_IP, 8082),
    ]);
    await Promise.all([tunnelled, plain, other].map((talk) => talk.ask('hello')));
    network.mesh(denyTo(8080));
    await Promise.all([tunnelled.ended, plain.ended]);
    const lines = network.accessLog.filter((line) => line['direction'] === 'inbound');
    const cut = { policies: 'shop/no', error: 'connection closed due to policy change' };
    expect(lines).toEqual([expect.objectContaining(cut), expect.objectContaining(cut)]);
    expect(await other.ask('still here')).toBe('still here');
  });

  test('that comes to be named and does not arrive cuts what is open, after the wait', async () => {
    const naming = (policies: string) =>
      MESH.replace(
        'protocol: HBONE, services: {shop',
        `authorizationPolicies: [${policies}], protocol: HBONE, services: {shop`,
      );
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    await talk.ask('hello');
    network.mesh(naming('shop/in-time'));
    expect(await talk.ask('on its way')).toBe('on its way');
    network.mesh(
      `policies: [{name: in-time, namespace: shop, scope: WorkloadSelector, action: Allow, rules: [[[{destinationPorts: [8080]}]]], dryRun: false}]`,
    );
    await systemClock.sleep(MISSING_POLICY_WAIT_MS + 200);
    expect(await talk.ask('still here')).toBe('still here');
    network.mesh(naming('shop/in-time, shop/never'));
    await talk.ended;
    expect(await network.logged('inbound')).toMatchObject({
      policies: 'shop/never',
      error: 'connection closed due to policy change',
    });
  });

  test('that has not arrived is waited for, then refuses', async () => {
    network.mesh(
      MESH.replace(
        'protocol: HBONE, services: {shop',
        'authorizationPolicies: [shop/late], protocol: HBONE, services: {shop',
      ),
    );
    await network.start('alice');
    await network.start('bob');
    echo();
    const refused = await network.connect('alice', VIP, 80);
    await refused.ended;
    expect((await network.logged('inbound'))['error']).toContain('shop/late');
    policyWaitMs = 60_000;
    const talk = await network.connect('alice', VIP, 80);
    const answer = talk.ask('hello');
    await systemClock.sleep(200);
    network.mesh(
      'policies: [{name: late, namespace: shop, scope: WorkloadSelector, action: Allow, rules: [[[{destinationPorts: [8080]}]]], dryRun: false}]',
    );
    expect(await answer).toBe('hello');
    network.apply({ removedPolicies: ['shop/late'] });
    expect(await talk.ask('not cut')).toBe('not cut');
  });
});

describe('a pod', () => {
  test('that is stopped lets its connections end, and takes no more', async () => {
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    await talk.ask('hello');
    const stopped = network.stop('bob', 25_000);
    await network.eventually(
      'no listener of the proxy',
      () => network.listening('bob').length === 1 || undefined,
    );
    expect(network.listening('bob')).toEqual([8080]);
    expect(await talk.ask('still here')).toBe('still here');
    talk.socket.end();
    await stopped;
    expect(await network.logged('inbound')).not.toHaveProperty('error');
  });

  test('is cut at its deadline', async () => {
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    await talk.ask('hello');
    await network.stop('alice', 100);
    await talk.ended;
    expect(await network.logged('outbound')).toMatchObject({
      error: 'connection closed due to connection drain',
    });
    const [closed] = network.metric('istio_tcp_connections_closed');
    expect(closed?.labels['response_flags']).toBe('-');
  });

  test('is cut at once when told so', async () => {
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    await talk.ask('hello');
    await network.stop('bob', 0);
    await talk.ended;
    expect(network.connections()).toEqual([]);
    await network.stop('bob', 0);
  });

  test('whose port is taken fails with nothing left open', async () => {
    network.serve('bob', 15_006, () => undefined);
    expect(await network.start('bob')).toEqual({
      kind: 'pod-failed',
      uid: 'bob',
      reason: expect.stringContaining('cannot listen on [::]:15006: address in use'),
    });
    await network.eventually('no other listener', () => network.listening('bob').length === 1 || undefined);
    expect(network.listening('bob')).toEqual([15_006]);
    await network.stop('bob', 0);
  });

  test('may take tunnels alone', async () => {
    await network.start('bob', { inboundOnly: true });
    expect(network.listening('bob')).toEqual([15_008]);
  });
});

const ADDRESS = `${BOB_IP}:8080`;

describe('a client that speaks HBONE itself', () => {
  test.each([
    ['its own address', ADDRESS, '200', undefined],
    ['another address', '10.9.0.77:8080', '400', `ip mismatch: ${BOB_IP} != 10.9.0.77`],
    ['no address', 'bob', '400', 'not an ip:port or host:port: bob'],
    ['a hostname of a service', 'bob.shop.svc.cluster.local:80', '200', undefined],
    ['an unknown hostname', 'eve.shop.svc.cluster.local:80', '503', 'no service has the hostname'],
    ['a port of the proxy', `${BOB_IP}:15001`, '503', 'port 15001 leads back into the proxy'],
    ['a port where nobody listens', `${BOB_IP}:9`, '503', 'ECONNREFUSED'],
  ])('asks for %s', async (_, authority, status, error) => {
    await meshed();
    const tunnel = await network.dial('outside', ALICE, BOB_IP);
    expect(await network.request(tunnel, authority)).toMatchObject({ status });
    // The application may take the connection later than the client hears of it.
    if (error === undefined) expect(await network.eventually('a caller', () => callers[0])).toBe(OUTSIDE_IP);
    else
      expect(String((await network.eventually('a line', () => network.accessLog[0]))['error'])).toContain(
        error,
      );
    tunnel.session.destroy();
  });

  test('is told which workload answers, and asks with CONNECT alone', async () => {
    await meshed();
    const tunnel = await network.dial('outside', ALICE, BOB_IP);
    const { fields } = await network.request(tunnel, ADDRESS);
    expect(fields).toContain(
      'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=bob,service.name=bob,service.version=v1',
    );
    const get = [':method', 'GET', ':scheme', 'https', ':authority', ADDRESS, ':path', '/'];
    expect((await network.send(tunnel, get)).status).toBe('400');
    tunnel.session.destroy();
  });

  test('is known by its certificate and its baggage, if the mesh does not know its address', async () => {
    await meshed();
    const tunnel = await network.dial('outside', 'spiffe://td/ns/far/sa/eve', BOB_IP);
    await network.request(tunnel, ADDRESS, ['baggage', 'k8s.namespace.name=lies,k8s.deployment.name=eve']);
    tunnel.session.destroy();
    expect(await network.logged('inbound')).toMatchObject({
      'src.identity': 'spiffe://td/ns/far/sa/eve',
      'src.namespace': 'far',
      'src.workload': 'eve',
    });
  });

  test('is refused if it is of another trust domain', async () => {
    await meshed();
    const tunnel = network.dial('outside', 'spiffe://other/ns/shop/sa/alice', BOB_IP);
    await tunnel.then(
      ({ session }) => network.eventually('the end', () => session.isClosed || undefined),
      () => undefined,
    );
    const line = await network.eventually('a line', () => network.accessLog[0]);
    expect(line).toMatchObject({
      level: 'warn',
      message: 'connection failed',
      'dst.addr': `${BOB_IP}:15008`,
    });
    expect(line['error']).toContain('expected trust domain');
  });

  test('is cut off when its certificate is revoked', async () => {
    await meshed();
    const tunnel = await network.dial('outside', ALICE, BOB_IP);
    await network.request(tunnel, ADDRESS);
    const { serial } = network.issued.get(ALICE) ?? { serial: '' };
    const list = await createRevocationList([serial], systemClock.now(), network.ca.material.signer);
    network.worker.receive({ kind: 'revocations', bytes: Buffer.from(list) });
    await network.eventually('the end', () => tunnel.session.isClosed || undefined);
    expect((await network.logged('inbound'))['error']).toContain('Revoked');
    expect(network.metric('istio_tcp_connections_failed')[0]?.labels['response_flags']).toBe('CERT_REVOKED');
  });

  test('may be gone before the application answers', async () => {
    await meshed();
    const tunnel = await network.dial('outside', ALICE, BOB_IP);
    for (let i = 0; i < 50; i++) {
      const stream = network.open(tunnel, ADDRESS);
      stream.reset(H2.cancel);
    }
    expect(await network.request(tunnel, ADDRESS)).toMatchObject({ status: '200' });
    tunnel.session.destroy();
    await network.eventually('all ended', () => (network.connections().length === 0 ? true : undefined));
    expect(network.metric('istio_tcp_sockets_open').map(({ value }) => value)).toEqual([0, 0]);
  });
});

describe('an application behind an application tunnel', () => {
  test('is told who called by the PROXY protocol, over loopback', async () => {
    network.mesh(
      MESH.replace(
        'protocol: HBONE, services: {shop',
        'applicationTunnel: {protocol: PROXY, port: 15088}, protocol: HBONE, services: {shop',
      ),
    );
    await network.start('bob');
    const heard: Buffer[] = [];
    network.serve(
      'bob',
      15_088,
      (socket) => {
        callers.push(socket.remoteAddress ?? '');
        socket.on('data', (chunk: Buffer) => heard.push(chunk));
      },
      '127.0.0.1',
    );
    const tunnel = await network.dial('outside', ALICE, BOB_IP);
    expect(await network.request(tunnel, '10.99.0.1:80')).toMatchObject({ status: '200' });
    await network.eventually('a header', () => (Buffer.concat(heard).length >= 28 ? true : undefined));
    const header = Buffer.concat(heard);
    expect(callers).toEqual(['127.0.0.1']);
    expect(header.subarray(0, 12).toString('latin1')).toBe('\r\n\r\n\0\r\nQUIT\n');
    expect([...header.subarray(16, 24)]).toEqual([10, 9, 0, 1, 10, 99, 0, 1]);
    expect(header.toString('latin1')).toContain(ALICE);
    tunnel.session.destroy();
  });
});

describe('into another network', () => {
  test('through its gateway in two tunnels, with the destination told by the inner one', async () => {
    network.mesh(`${MESH.replace(/\n {2}- \{uid: b,.*\n/, '\n')}  - {name: far, namespace: shop, hostname: far.shop.svc.cluster.local, vips: [/10.96.0.10], ports: {80: 8080}, subjectAltNames: ["${BOB}"]}
  - {name: gateway, namespace: shop, hostname: gateway.shop.svc.cluster.local, vips: [/10.96.0.11], ports: {15008: 15008}}`);
    network.mesh(`workloads:
  - {uid: far, name: far, namespace: shop, serviceAccount: far, trustDomain: td, network: far, workloadIps: [], protocol: HBONE, networkGateway: {destination: shop/gateway.shop.svc.cluster.local, hboneMtlsPort: 15008}, services: {shop/far.shop.svc.cluster.local: {80: 8080}}}
  - {uid: gw, name: gw, namespace: shop, serviceAccount: gateway, trustDomain: td, workloadIps: [${OUTSIDE_IP}], protocol: HBONE, services: {shop/gateway.shop.svc.cluster.local: {15008: 15008}}}
`);
    await network.start('alice');
    const gateway = await network.gateway('spiffe://td/ns/shop/sa/gateway', BOB, 'far says ');
    const talk = await network.connect('alice', '10.96.0.10', 80);
    expect(await talk.ask('hello', 14)).toBe('far says hello');
    expect(gateway.outer).toEqual(['far.shop.svc.cluster.local:80']);
    expect(gateway.inner).toEqual([['far.shop.svc.cluster.local:80', '']]);
    talk.socket.end();
    await talk.ended;
    expect(await network.logged('outbound')).toMatchObject({
      'dst.addr': `${OUTSIDE_IP}:15008`,
      'dst.hbone_addr': 'far.shop.svc.cluster.local:80',
      'dst.identity': BOB,
      'dst.workload': 'bob',
    });
    await network.eventually('the inner tunnel to end', () => gateway.openInner() === 0 || undefined);
  });
});

describe('through a waypoint', () => {
  test('with the address that the application named, and to the waypoint alone', async () => {
    const waypoint = 'spiffe://td/ns/shop/sa/waypoint';
    network.mesh(
      MESH.replace(
        'ports: {80: 8080}}',
        'ports: {80: 8080}, waypoint: {destination: /10.96.0.20, hboneMtlsPort: 15008}}',
      ),
    );
    network.mesh(`workloads:
  - {uid: w, name: w, namespace: shop, serviceAccount: waypoint, trustDomain: td, workloadIps: [${OUTSIDE_IP}], protocol: HBONE, services: {shop/waypoint.test: {15008: 15008}}}
services:
  - {name: waypoint, namespace: shop, hostname: waypoint.test, vips: [/10.96.0.20], ports: {15008: 15008}}`);
    await network.start('alice');
    const gateway = await network.gateway(waypoint, BOB, '');
    await network.connect('alice', VIP, 80);
    await network.eventually('a stream', () => gateway.outer[0]);
    expect(gateway.outer).toEqual([`${VIP}:80`]);
    expect(network.connections()).toMatchObject([
      { actualDst: `${OUTSIDE_IP}:15008`, dstIdentity: waypoint },
    ]);
  });

  test('that is not there: closed, with the reason, and nothing went round it', async () => {
    network.mesh(
      MESH.replace(
        'ports: {80: 8080}}',
        'ports: {80: 8080}, waypoint: {destination: /10.96.0.20, hboneMtlsPort: 15008}}',
      ),
    );
    await network.start('alice');
    await network.start('bob');
    echo();
    expect(await (await network.connect('alice', VIP, 80)).ended).toMatch(CLOSED);
    const line = await network.logged('outbound');
    expect(line['error']).toContain('unknown waypoint');
    expect(callers).toEqual([]);
  });
});

describe('over IPv6', () => {
  test('between pods and from outside, from the client as the server sees it', async () => {
    network.mesh(
      MESH.replace(`[${ALICE_IP}]`, `[${ALICE_IP}, "${ip6Of(ALICE_IP)}"]`).replace(
        `[${BOB_IP}]`,
        `[${BOB_IP}, "${ip6Of(BOB_IP)}"]`,
      ),
    );
    await network.start('alice');
    await network.start('bob');
    network.serve(
      'bob',
      8080,
      (socket) => {
        callers.push(socket.remoteAddress ?? '');
        socket.pipe(socket);
      },
      '::',
    );
    for (const from of ['alice', 'outside'] as const) {
      const talk = await network.connect(from, ip6Of(BOB_IP), 8080);
      expect(await talk.ask('hello')).toBe('hello');
      talk.socket.end();
    }
    expect(callers).toEqual([ip6Of(ALICE_IP), ip6Of(OUTSIDE_IP)]);
    expect((await network.logged('inbound', 1))['dst.hbone_addr']).toBe(`[${ip6Of(BOB_IP)}]:8080`);
  });
});

describe('with its own settings, a worker', () => {
  const restart = async (...settings: Parameters<typeof WorkerNetwork.create>) => {
    await network[Symbol.asyncDispose]();
    network = await WorkerNetwork.create(...settings);
  };

  test('asks for addresses as connections need them', async () => {
    await restart({ onDemand: true });
    const [, alice = '', bob = ''] = /- (\{uid: a.*\})\n.*- (\{uid: b.*\})\n/.exec(MESH) ?? [];
    network.mesh(`workloads: [${alice}]`);
    network.answerDemands({ [`/${BOB_IP}`]: `workloads: [${bob}]` });
    await network.start('alice');
    await network.start('bob');
    echo();
    network.serve('outside', 7000, (socket) => socket.pipe(socket));
    expect(await (await network.connect('alice', BOB_IP, 8080)).ask('hello')).toBe('hello');
    for (let i = 0; i < 2; i++)
      expect(await (await network.connect('alice', OUTSIDE_IP, 7000)).ask('hello')).toBe('hello');
    expect(network.said.flatMap((message) => (message.kind === 'need-address' ? [message.key] : []))).toEqual(
      [`/${BOB_IP}`, `/${OUTSIDE_IP}`],
    );
  });

  test('resolves the hostname of a workload that has no address', async () => {
    await restart({}, (name) => Promise.resolve(name === 'far.test' ? [OUTSIDE_IP] : []));
    network.mesh(
      `${MESH}  - {name: far, namespace: shop, hostname: far.test, vips: [/10.96.0.30], ports: {80: 7000}}`,
    );
    network.mesh(
      'workloads: [{uid: f, name: f, namespace: shop, hostname: far.test, workloadIps: [], services: {shop/far.test: {80: 7000}}}]',
    );
    await network.start('alice');
    network.serve('outside', 7000, (socket) => socket.pipe(socket));
    expect(await (await network.connect('alice', '10.96.0.30', 80)).ask('hello')).toBe('hello');
    const [resolved] = network.metric('istio_on_demand_dns');
    expect(resolved?.value).toBe(1);
  });

  test('keeps the address of clients to itself', async () => {
    await restart({ originalSource: 'never' });
    await meshed();
    expect(await (await network.connect('alice', VIP, 80)).ask('hello')).toBe('hello');
    expect(callers).toEqual([BOB_IP]);
  });

  test('logs as it is told while it runs', async () => {
    await meshed();
    network.worker.receive({ kind: 'log-filter', filter: 'debug' });
    const quiet = await network.connect('alice', VIP, 80);
    await quiet.ask('hello');
    expect(network.accessLog.map(({ message }) => message)).toEqual([
      'connection opened',
      'connection opened',
    ]);
    network.worker.receive({ kind: 'log-filter', filter: 'access=off' });
    quiet.socket.end();
    await quiet.ended;
    expect(network.accessLog).toHaveLength(2);
  });

  test('ends everything when it drains', async () => {
    await meshed();
    const talk = await network.connect('alice', VIP, 80);
    await talk.ask('hello');
    network.worker.receive({ kind: 'drain', deadlineMs: 100 });
    await network.eventually('drained', () => network.said.find(({ kind }) => kind === 'drained'));
    await talk.ended;
    expect([network.listening('alice'), network.listening('bob')]).toEqual([[], [8080]]);
  });
});

describe('through SOCKS5', () => {
  test('to an address and to a name', async () => {
    await meshed();
    const talk = await network.connect('alice', '127.0.0.1', 15_080);
    expect([...Buffer.from(await talk.ask('\x05\x01\x00', 2))]).toEqual([5, 0]);
    const request = Buffer.from([5, 1, 0, 1, ...VIP.split('.').map(Number), 0, 80]);
    expect((await talk.ask(request.toString('latin1'), 10)).charCodeAt(1)).toBe(0);
    expect(await talk.ask('hello')).toBe('hello');
    expect(callers).toEqual([ALICE_IP]);
  });
});

describe('a pod that mesh state does not know yet', () => {
  const onNode = (yaml: string) => yaml.replace('{uid: b,', '{uid: b, node: n1,');
  const withoutAlice = onNode(MESH).replace(/^.*uid: a,.*$/m, '');

  beforeEach(async () => {
    await network[Symbol.asyncDispose]();
    network = await WorkerNetwork.create({ nodeName: 'n1' });
    network.mesh(withoutAlice);
    await network.start('alice');
    await network.start('bob');
    echo();
  });

  test('opens connections with its identity as soon as the mesh is complete, and not before', async () => {
    const early = await network.connect('alice', VIP, 80);
    expect(network.said.filter(({ kind }) => kind === 'need-certificate')).toEqual([]);
    network.worker.receive({ kind: 'mesh-complete' });
    expect(await early.ask('hello there')).toBe('hello there');
    expect(await (await network.connect('alice', VIP, 80)).ask('again')).toBe('again');
    expect(network.connections()).toMatchObject([
      { direction: 'outbound', srcIdentity: ALICE, dstIdentity: BOB },
      { direction: 'outbound', srcIdentity: ALICE, dstIdentity: BOB },
      { direction: 'inbound', srcIdentity: ALICE },
      { direction: 'inbound', srcIdentity: ALICE },
    ]);
  });

  test('lets nobody in', async () => {
    network.worker.receive({ kind: 'mesh-complete' });
    network.serve('alice', 8080, (socket) => socket.pipe(socket));
    const talk = await network.connect('outside', ALICE_IP, 8080);
    const answered = talk.ask('may I').then(() => 'answered');
    const soon = new Promise((resolve) => setTimeout(resolve, 500, 'waits'));
    expect(await Promise.race([answered, soon])).toBe('waits');
    answered.catch(() => undefined);
  });
});
