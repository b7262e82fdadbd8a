import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { createRevocationList } from '@ambit/identity/x509';
import { listenTcp } from '@ambit/linux/sockets';
import { ALICE_IP, BOB, BOB_IP, WorkerNetwork } from '../testing/worker-network.ts';

const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}
`;

let network: WorkerNetwork;
beforeEach(async () => {
  const second = { index: 1, workers: 2, portReuse: true };
  network = await WorkerNetwork.create(second, undefined, undefined, () => 0);
  network.mesh(MESH);
  await network.start('alice');
  await network.start('bob');
  network.serve('bob', 8080, (socket) => socket.pipe(socket));
});
afterEach(async () => await network[Symbol.asyncDispose]());

/** The port that alice's tunnel comes from. */
function tunnelPort(): number {
  const tunnels = network.netns('alice').run('ss', '-Htn', 'state', 'established', 'dport', '=', ':15008');
  return Number(/:(\d+)\s/.exec(tunnels)?.[1]);
}

test('a worker’s tunnel comes from a port of its own', async () => {
  const talk = await network.connect('alice', BOB_IP, 8080);
  expect(await talk.ask('hello')).toBe('hello');
  expect([32_770, 32_771]).toContain(tunnelPort());
});

function takePorts(): Disposable {
  const netnsFd = network.netns('alice').fd;
  const servers = [32_770, 32_771].map((port) =>
    createServer().listen({ fd: listenTcp({ netnsFd, ip: '0.0.0.0', port }).fd }),
  );
  return {
    [Symbol.dispose]: () => {
      for (const server of servers) server.close();
    },
  };
}

test('a tunnel whose ports are taken comes from any other', async () => {
  using _ = takePorts();
  const talk = await network.connect('alice', BOB_IP, 8080);
  expect(await talk.ask('hello')).toBe('hello');
  expect(tunnelPort()).toBeGreaterThan(32_771);
});

test('a revoked peer is refused as that, whatever port its tunnel comes from', async () => {
  using _ = takePorts();
  const first = await network.connect('alice', BOB_IP, 8080);
  expect(await first.ask('hello')).toBe('hello');
  const { serial } = network.issued.get(BOB) ?? { serial: '' };
  const list = await createRevocationList([serial], systemClock.now(), network.ca.material.signer);
  network.worker.receive({ kind: 'revocations', bytes: Buffer.from(list) });
  await first.ended;
  await (await network.connect('alice', BOB_IP, 8080)).ended;
  const flags = () =>
    network.metric('istio_tcp_connections_failed').flatMap(({ labels }) => labels['response_flags'] ?? []);
  await network.eventually('both failures', () => flags().length > 1 || undefined);
  // The one that was open is cut, and the other one refused.
  expect(new Set(flags())).toEqual(new Set(['CONNECT', 'CERT_REVOKED']));
});
