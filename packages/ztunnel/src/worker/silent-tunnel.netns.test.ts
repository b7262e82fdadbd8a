import { expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { ALICE_IP, BOB_IP, type Talk, WorkerNetwork } from '../testing/worker-network.ts';

const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}
`;
/** As a NetworkPolicy that came while the tunnel was open, and that asks nothing of what is established. */
const BLOCK = 'table inet block { chain in { type filter hook input priority 0; tcp dport 15008 drop; }; }';

/** So many times as fast, that PINGs and patience take seconds and not half a minute. */
const SPEED = 5;
const brisk: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * SPEED,
  after: (ms, run) => systemClock.after(ms / SPEED, run),
};

const GONE = `the tunnel to ${BOB_IP}:15008 has gone silent, maybe a NetworkPolicy is blocking HBONE port 15008 now`;

test('a tunnel whose port is blocked says so of the connections in it, new and old, and of its successor', async () => {
  await using network = await WorkerNetwork.create({}, undefined, brisk);
  network.mesh(MESH);
  await network.start('alice');
  await network.start('bob');
  network.serve('bob', 8080, (socket) => void socket.pipe(socket));
  const connect = () => network.connect('alice', BOB_IP, 8080);
  const old = await connect();
  expect(await old.ask('hello')).toBe('hello');

  network.netns('bob').nft(BLOCK);
  const lineOf = async (talk: Talk, nth: number) => {
    talk.socket.write('anybody?');
    await talk.ended;
    return (await network.logged('outbound', nth))['error'];
  };
  expect(await lineOf(await connect(), 1)).toBe(`${GONE}: CONNECT not answered within 20000 ms`);
  expect(await lineOf(old, 2)).toBe(
    `${GONE}: the connection broke: INTERNAL_ERROR: connection closed: no answer to PING`,
  );
  expect(await lineOf(await connect(), 3)).toMatch(
    /^connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: /,
  );
  const failed = network.metric('istio_tcp_connections_failed');
  expect(failed.filter(({ labels }) => labels['reporter'] === 'source')).toMatchObject([
    { labels: { response_flags: 'NETWORK_POLICY' }, value: 3 },
  ]);
});
