import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { ALICE_IP, BOB_IP, WorkerNetwork } from '../testing/worker-network.ts';

const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}
`;
const SOCKS_GREETING = '\x05\x01\x00';

let network: WorkerNetwork;
beforeEach(async () => {
  network = await WorkerNetwork.create();
  network.mesh(MESH);
  await network.start('alice');
});
afterEach(async () => await network[Symbol.asyncDispose]());

test('a tunnel whose certificate comes after the pod has stopped is not opened', async () => {
  const gate = Promise.withResolvers<void>();
  const issue = network.ca.issueWorkload.bind(network.ca);
  Object.assign(network.ca, {
    issueWorkload: async (identity: string) => {
      await gate.promise;
      return await issue(identity);
    },
  });
  const talk = await network.connect('alice', BOB_IP, 8080);
  await network.eventually('a wait for the certificate', () =>
    network.said.find(({ kind }) => kind === 'need-certificate'),
  );
  await network.stop('alice', 0);
  await talk.ended;
  gate.resolve();
  await network.eventually('the certificate', () => (network.issued.size > 0 ? true : undefined));
  await systemClock.sleep(50);
  expect(network.netns('alice').run('ss', '-Htan', 'dport', '=', ':15008')).toBe('');
});

test('a SOCKS client that has not said where it wants to go is let go with its pod', async () => {
  const talk = await network.connect('alice', '127.0.0.1', 15_080);
  await talk.ask(SOCKS_GREETING, 2);
  const before = systemClock.monotonicMs();
  await network.stop('alice', 0);
  await talk.ended;
  expect(systemClock.monotonicMs() - before).toBeLessThan(1_000);
});
