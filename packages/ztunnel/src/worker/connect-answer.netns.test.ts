import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { TunnelServer } from '@ambit/hbone/server';
import { acceptHandles } from '@ambit/http/transport/native';
import { serverTlsOptions, verifyClientPeer } from '@ambit/identity/tls-context';
import { listenTcp } from '@ambit/linux/sockets';
import { ALICE_IP, BOB, BOB_IP, TRUST_DOMAIN, WorkerNetwork } from '../testing/worker-network.ts';
import { CONNECT_ANSWER_TIMEOUT_MS } from './limits.ts';

const FAR_VIP = '10.96.0.10';
const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: gw, name: gw, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {shop/gateway.shop.svc.cluster.local: {15008: 15008}}}
  - {uid: far, name: far, namespace: shop, serviceAccount: far, trustDomain: td, network: far, workloadIps: [], protocol: HBONE, networkGateway: {destination: shop/gateway.shop.svc.cluster.local, hboneMtlsPort: 15008}, services: {shop/far.shop.svc.cluster.local: {80: 8080}}}
services:
  - {name: far, namespace: shop, hostname: far.shop.svc.cluster.local, vips: [/${FAR_VIP}], ports: {80: 8080}, subjectAltNames: ["${BOB}"]}
  - {name: gateway, namespace: shop, hostname: gateway.shop.svc.cluster.local, vips: [/10.96.0.11], ports: {15008: 15008}}
`;

/** A peer's time to answer passes quickly, where it is to pass. */
let answerMs: number;
const hasty: Clock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(ms === CONNECT_ANSWER_TIMEOUT_MS ? answerMs : ms, run),
};

let network: WorkerNetwork;
let tunnels: TunnelServer;
let server: Server;
/** How each stream that the peer took came to its end. */
let resets: number[];
let behave: (stream: H2Stream) => void;

beforeEach(async () => {
  answerMs = CONNECT_ANSWER_TIMEOUT_MS;
  network = await WorkerNetwork.create({}, undefined, hasty);
  resets = [];
  const bob = await network.ca.issueWorkload(BOB);
  tunnels = new TunnelServer({
    session: { ...DEFAULT_SESSION_OPTIONS, clock: systemClock },
    budget: new QueueBudget(1_000_000),
    tls: () => Promise.resolve(serverTlsOptions(bob)),
    verify: (socket) => verifyClientPeer(socket, [TRUST_DOMAIN]),
    onRefused: () => undefined,
    onStream: (_, stream): StreamHandler => {
      behave(stream);
      return {
        onHeaders() {},
        onData() {},
        onEnd() {},
        onReset: (_stream, { h2Code }) => void resets.push(h2Code),
        onWritable() {},
      };
    },
  });
  const { fd } = listenTcp({ netnsFd: network.netns('bob').fd, ip: '0.0.0.0', port: 15_008 });
  server = createServer().listen({ fd });
  acceptHandles(
    server,
    (handle) => tunnels.accept(handle),
    () => undefined,
  );
  network.mesh(MESH);
  await network.start('alice');
});
afterEach(async () => {
  server.close();
  tunnels.destroy();
  await network[Symbol.asyncDispose]();
});

describe.each([
  ['a workload', BOB_IP, 8080],
  ['a gateway to another network', FAR_VIP, 80],
] as const)('%s that takes a connection', (_, ip, port) => {
  test.each([
    ['does not answer', () => undefined, `CONNECT not answered within ${CONNECT_ANSWER_TIMEOUT_MS} ms`, 8],
    [
      'sends data before its answer',
      (stream: H2Stream) => void stream.write(Buffer.from('no status')),
      'data before the answer to CONNECT',
      1,
    ],
  ])('and %s is given up, with the application', async (what, behaviour, error, code) => {
    behave = behaviour;
    if (what === 'does not answer') answerMs = 200;
    const talk = await network.connect('alice', ip, port);
    talk.socket.write('hello');
    await talk.ended;
    expect(talk.text).toBe('');
    expect(await network.logged('outbound')).toMatchObject({ error });
    expect(await network.eventually('the reset', () => resets[0])).toBe(code);
    expect(network.connections()).toEqual([]);
  });
});
