import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { ALICE_IP, BOB_IP, WorkerNetwork } from '../testing/worker-network.ts';

const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}, authorizationPolicies: [shop/late]}
`;
const policy = (name: string, scope: string, action: string) =>
  `policies: [{name: ${name}, namespace: shop, scope: ${scope}, action: ${action}, rules: [[[{destinationPorts: [8080]}]]], dryRun: false}]`;

let network: WorkerNetwork;
beforeEach(async () => {
  network = await WorkerNetwork.create();
});
afterEach(async () => await network[Symbol.asyncDispose]());

test.each(['alice', 'outside'] as const)(
  'what comes in the same turn as a policy that was awaited decides too, from %s',
  async (from) => {
    let callers = 0;
    network.mesh(MESH);
    await network.start('alice');
    await network.start('bob');
    network.serve('bob', 8080, () => {
      callers += 1;
    });
    const talk = await network.connect(from, BOB_IP, 8080);
    await network.eventually('a connection that waits', () =>
      network.connections().find(({ direction }) => direction === 'inbound'),
    );
    network.mesh(policy('late', 'WorkloadSelector', 'Allow'));
    network.mesh(policy('no', 'Namespace', 'Deny'));
    await talk.ended;
    expect(await network.logged('inbound')).toMatchObject({
      error: 'connection closed due to policy rejection: explicitly denied by: shop/no',
    });
    await systemClock.sleep(20);
    expect(callers).toBe(0);
  },
);
