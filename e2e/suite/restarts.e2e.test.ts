import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';

const suite = useSuite('restarts');
const rows = new Rows();

let space: Space;
let client: EchoPod;

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('app', 'ambient');
  [client] = (await space.run({ name: 'client', node: first }, { name: 'server', node: second })) as [
    EchoPod,
  ];
  await space.enrolled(true, 'client', 'server');
});
afterAll(() => rows.print());

/** Runs `disturb` while the application is used from the other node. */
async function nothingIsLost(what: string, disturb: () => Promise<void>): Promise<void> {
  const disturbed = await underLoad(client, space.host('server'), disturb);
  rows.add(what, disturbed);
  expect(lost(disturbed)).toEqual([]);
}

describe('no request is lost while', () => {
  test('the control plane is rolled out anew', () =>
    nothingIsLost('control-plane restart', () => suite.mesh.rollOut('istiod')));

  test('the control plane is killed', () =>
    nothingIsLost('control-plane kill', () => suite.mesh.replacePod('istiod', undefined, 0)));

  test('the node agents are rolled out anew', () =>
    nothingIsLost('agent restart', () => suite.mesh.rollOut('agent')));

  test('the client’s node agent is killed', () =>
    nothingIsLost('agent kill', () => suite.mesh.replacePod('agent', client.node, 0)));

  test('the node agents come to apply rules by iptables, and by nftables again', async () => {
    suite.atEnd(() => suite.mesh.setEnv('agent', { FORCE_IPTABLES_BINARY: undefined }));
    for (const program of ['iptables-nft', undefined])
      await nothingIsLost(`rules by ${program ?? 'nft'}`, () =>
        suite.mesh.setEnv('agent', { FORCE_IPTABLES_BINARY: program }),
      );
  });

  test('the ztunnel DaemonSet is rolled out anew', () =>
    nothingIsLost('ztunnel DaemonSet restart', () => suite.mesh.rollOut('ztunnel')));
});

test('a ztunnel that is killed takes its connections along, and the next one serves all as before', async () => {
  const disturbed = await underLoad(client, space.host('server'), () =>
    suite.mesh.replacePod('ztunnel', client.node, 0),
  );
  rows.add('ztunnel kill', disturbed, 'no other was there to take over');
  const { fresh } = disturbed;
  expect(fresh.ok).toBeGreaterThan(0);
  await client.eventuallyReaches({ host: space.host('server') });
  const after = await client.load({
    host: space.host('server'),
    connections: 'new',
    requestsPerSecond: 50,
    durationMs: 2_000,
  });
  await after.hasServed(50);
  expect(await after.end()).toMatchObject({ failed: 0, errors: [] });
});
