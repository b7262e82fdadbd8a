import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import { H2 } from '@ambit/http/h2/protocol';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { refuseStream, TunnelServer } from '@ambit/hbone/server';
import { acceptHandles } from '@ambit/http/transport/native';
import { serverTlsOptions, verifyClientPeer } from '@ambit/identity/tls-context';
import { listenTcp } from '@ambit/linux/sockets';
import { ALICE_IP, BOB_IP, OUTSIDE_IP, TRUST_DOMAIN, WorkerNetwork } from '../testing/worker-network.ts';
import { MeshWaits } from '@ambit/model/mesh-waits';
import { CONNECT_ANSWER_TIMEOUT_MS, STALE_ROUTE_WAIT_MS } from './limits.ts';

const VIP = '10.96.0.9';
const WAYPOINT = 'spiffe://td/ns/shop/sa/waypoint';
const WORKLOADS = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {shop/bob.shop.svc.cluster.local: {80: 8080}}}
  - {uid: w, name: w, namespace: shop, serviceAccount: waypoint, trustDomain: td, workloadIps: [${OUTSIDE_IP}], protocol: HBONE, services: {shop/waypoint.test: {15008: 15008}}}`;
const bobWith = (waypoint: string) => `
services:
  - {name: waypoint, namespace: shop, hostname: waypoint.test, vips: [/10.96.0.20], ports: {15008: 15008}}
  - {name: bob, namespace: shop, hostname: bob.shop.svc.cluster.local, vips: [/${VIP}], ports: {80: 8080}${waypoint}}`;
const BEHIND_WAYPOINT = bobWith(', waypoint: {destination: /10.96.0.20, hboneMtlsPort: 15008}');
const WITHOUT_WAYPOINT = bobWith('');

let network: WorkerNetwork;
let tunnels: TunnelServer;
let server: Server;
/** How each stream that the waypoint took came to its end. */
let resets: number[];
let behave: (stream: H2Stream) => void;

beforeEach(async () => {
  network = await WorkerNetwork.create();
  resets = [];
  const certificate = await network.ca.issueWorkload(WAYPOINT);
  tunnels = new TunnelServer({
    session: { ...DEFAULT_SESSION_OPTIONS, clock: systemClock },
    budget: new QueueBudget(1_000_000),
    tls: () => Promise.resolve(serverTlsOptions(certificate)),
    verify: (socket) => verifyClientPeer(socket, [TRUST_DOMAIN]),
    onRefused: () => undefined,
    onStream: (_, stream): StreamHandler => {
      stream.handler = {
        onHeaders() {},
        onData() {},
        onEnd() {},
        onReset: (_stream, { h2Code }) => void resets.push(h2Code),
        onWritable() {},
      };
      behave(stream);
      return stream.handler;
    },
  });
  const { fd } = listenTcp({ netnsFd: network.netns('outside').fd, ip: '0.0.0.0', port: 15_008 });
  server = createServer().listen({ fd });
  acceptHandles(
    server,
    (handle) => tunnels.accept(handle),
    () => undefined,
  );
  network.mesh(WORKLOADS + BEHIND_WAYPOINT);
  await network.start('alice');
  await network.start('bob');
  network.serve('bob', 8080, (socket) => socket.pipe(socket));
});
afterEach(async () => {
  server.close();
  tunnels.destroy();
  await network[Symbol.asyncDispose]();
});

describe('a connection under way to a waypoint that was taken from its service', () => {
  test.each<[string, (stream: H2Stream) => void, readonly number[]]>([
    ['refuses it', (stream) => refuseStream(stream, 404), []],
    ['does not answer', () => undefined, [H2.cancel]],
  ])('and %s goes where the service is now, and loses nothing', async (_, behaviour, wantResets) => {
    const asked = Promise.withResolvers<void>();
    behave = (stream) => {
      behaviour(stream);
      asked.resolve();
    };
    const talk = await network.connect('alice', VIP, 80);
    const answered = talk.ask('hello');
    await asked.promise;
    await systemClock.sleep(100);
    network.mesh(WORKLOADS + WITHOUT_WAYPOINT);
    expect(await answered).toBe('hello');
    await network.eventually('the reset', () => resets.length === wantResets.length || undefined);
    expect(resets).toEqual(wantResets);
    talk.socket.end();
    await talk.ended;
    expect(await network.logged('outbound')).toMatchObject({ 'dst.addr': `${BOB_IP}:15008`, bytes_sent: 5 });
    const ends = (name: string) =>
      network.metric(name).filter(({ labels }) => labels['reporter'] === 'source');
    const total = (name: string) => ends(name).reduce((sum, { value }) => sum + value, 0);
    expect(total('istio_tcp_connections_opened')).toBe(total('istio_tcp_connections_closed'));
    expect(ends('istio_tcp_connections_failed')).toEqual([]);
  });

  test('in vain, as nothing leads elsewhere, is closed with what the waypoint said', async () => {
    behave = (stream) => refuseStream(stream, 404);
    const beganMs = systemClock.monotonicMs();
    const talk = await network.connect('alice', VIP, 80);
    await talk.ended;
    expect(await network.logged('outbound')).toMatchObject({ error: 'http status: 404' });
    expect(systemClock.monotonicMs() - beganMs).toBeGreaterThan(STALE_ROUTE_WAIT_MS - 50);
    expect(network.connections()).toEqual([]);
  });

  test.each<[string, (stream: H2Stream) => void]>([
    ['answers late', (stream) => stream.respond([{ name: ':status', value: '200', indexed: true }], false)],
    ['ends it', (stream) => stream.reset(H2.cancel)],
  ])('and %s is not looked after any more', async (_, behaviour) => {
    using until = jest.spyOn(MeshWaits.prototype, 'until');
    const asked = Promise.withResolvers<H2Stream>();
    behave = asked.resolve;
    const talk = await network.connect('alice', VIP, 80);
    const stream = await asked.promise;
    const doubt = await network.eventually('a doubt', () =>
      until.mock.calls.find(([, ms]) => ms === CONNECT_ANSWER_TIMEOUT_MS),
    );
    expect(doubt[2]?.aborted).toBe(false);
    behaviour(stream);
    await network.eventually('the end of it', () => doubt[2]?.aborted || undefined);
    talk.socket.destroy();
  });

  test.each([400, 401, 503])('that was refused with %d is closed at once', async (status) => {
    behave = (stream) => refuseStream(stream, status);
    const talk = await network.connect('alice', VIP, 80);
    network.mesh(WORKLOADS + WITHOUT_WAYPOINT);
    await talk.ended;
    expect(await network.logged('outbound')).toMatchObject({ error: `http status: ${status}` });
  });
});
