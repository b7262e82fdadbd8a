import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { H2Session } from '@ambit/http/h2/session';
import { createRevocationList } from '@ambit/identity/x509';
import { ALICE_IP, BOB, BOB_IP, OUTSIDE_IP, WorkerNetwork } from '../testing/worker-network.ts';

const FAR_VIP = '10.96.0.10';
const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}
  - {uid: far, name: far, namespace: shop, serviceAccount: far, trustDomain: td, network: far, workloadIps: [], protocol: HBONE, networkGateway: {destination: shop/gateway.shop.svc.cluster.local, hboneMtlsPort: 15008}, services: {shop/far.shop.svc.cluster.local: {80: 8080}}}
  - {uid: gw, name: gw, namespace: shop, serviceAccount: gateway, trustDomain: td, workloadIps: [${OUTSIDE_IP}], protocol: HBONE, services: {shop/gateway.shop.svc.cluster.local: {15008: 15008}}}
services:
  - {name: far, namespace: shop, hostname: far.shop.svc.cluster.local, vips: [/${FAR_VIP}], ports: {80: 8080}, subjectAltNames: ["${BOB}"]}
  - {name: gateway, namespace: shop, hostname: gateway.shop.svc.cluster.local, vips: [/10.96.0.11], ports: {15008: 15008}}
`;

let network: WorkerNetwork;
beforeEach(async () => {
  network = await WorkerNetwork.create();
  network.mesh(MESH);
  await network.start('alice');
});
afterEach(async () => await network[Symbol.asyncDispose]());

test('a certificate that cannot be used costs no socket', async () => {
  const issue = network.ca.issueWorkload.bind(network.ca);
  Object.assign(network.ca, {
    issueWorkload: async (identity: string) => ({ ...(await issue(identity)), chainPem: ['no certificate'] }),
  });
  const attempt = async () => {
    const talk = await network.connect('alice', BOB_IP, 8080);
    await talk.ended;
    talk.socket.destroy();
  };
  const openFiles = () => readdirSync('/proc/self/fd').length;
  await attempt();
  const before = openFiles();
  for (let i = 0; i < 10; i++) await attempt();
  for (let i = 0; i < 500 && openFiles() - before >= 5; i++) await systemClock.sleep(20);
  expect(openFiles() - before).toBeLessThan(5);
});

test('a destination behind a gateway is cut off when its certificate is revoked', async () => {
  await network.gateway('spiffe://td/ns/shop/sa/gateway', BOB, 'far says ');
  const talk = await network.connect('alice', FAR_VIP, 80);
  expect(await talk.ask('hello', 14)).toBe('far says hello');
  const { serial } = network.issued.get(BOB) ?? { serial: '' };
  const list = await createRevocationList([serial], systemClock.now(), network.ca.material.signer);
  network.worker.receive({ kind: 'revocations', bytes: Buffer.from(list) });
  await talk.ended;
  expect(network.connections()).toEqual([]);
});

test('a fault while a tunnel in a tunnel is opened ends its connection, and no other', async () => {
  await network.gateway('spiffe://td/ns/shop/sa/gateway', BOB, 'far says ');
  const request = H2Session.prototype.request;
  // The first of a connection is for the gateway, the second goes through it.
  let requests = 0;
  const broken = jest.spyOn(H2Session.prototype, 'request').mockImplementation(function (
    this: H2Session,
    ...about
  ) {
    requests += 1;
    if (requests === 2) throw new TypeError('nobody thought of it');
    return request.apply(this, about);
  });
  try {
    const talk = await network.connect('alice', FAR_VIP, 80);
    await talk.ended;
    expect(network.connections()).toEqual([]);
    const other = await network.connect('alice', FAR_VIP, 80);
    expect(await other.ask('hello', 14)).toBe('far says hello');
    expect(network.metric('ambit_ztunnel_faults')).toEqual([{ labels: {}, value: 1 }]);
  } finally {
    broken.mockRestore();
  }
});
