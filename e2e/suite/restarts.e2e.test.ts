import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { podNetworkCommand } from '../cluster/provider.ts';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, until } from './kit/wait.ts';

const suite = useSuite('restarts');
const rows = new Rows();

let space: Space;
let client: EchoPod;

beforeAll(async () => {
  space = await suite.space('app', 'ambient');
  ({ client } = await suite.pair(space));
  await space.enrolled(true, 'client', 'server');
});
afterAll(() => rows.print());

/** Runs `disturb` while the application is used from the other node. */
async function nothingIsLost(what: string, disturb: () => Promise<void>): Promise<void> {
  const disturbed = await underLoad(client, space.host('server'), disturb);
  rows.add(what, disturbed);
  expect(lost(disturbed)).toEqual([]);
}

/** Whose rules are in a pod's namespace: chains of Istio's names in iptables' tables, or a table of our own. */
async function programsOfRules({ node, ip }: EchoPod): Promise<readonly string[]> {
  const machine = await suite.cluster.needs('node-exec');
  // It complains about rules of iptables that it cannot translate.
  const { exitCode, stdout } = await machine.nodeExec(node, podNetworkCommand(ip, 'nft list ruleset'));
  expect(exitCode).toBe(0);
  return [
    ...(/^table inet istio-ambient-nat /m.test(stdout) ? ['nft'] : []),
    ...(/^\tchain ISTIO_/m.test(stdout) ? ['iptables'] : []),
  ];
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
    for (const program of ['iptables-nft', undefined]) {
      await nothingIsLost(`rules by ${program ?? 'nft'}`, () =>
        suite.mesh.setEnv('agent', { FORCE_IPTABLES_BINARY: program }),
      );
      // An agent that is ready has not been at every pod yet.
      const wanted = program === undefined ? 'nft' : 'iptables';
      await eventually(
        `rules by ${wanted} alone`,
        () => programsOfRules(client),
        (programs) => programs.join() === wanted,
      );
    }
  });

  test('the ztunnel DaemonSet is rolled out anew', () =>
    nothingIsLost('ztunnel DaemonSet restart', () => suite.mesh.rollOut('ztunnel')));
});

/** Ends the proxy's process as its own fault would; the kubelet starts the container again in its pod. */
async function crash(node: string): Promise<void> {
  const restartsOf = async () =>
    (await suite.mesh.podsOf('ztunnel'))
      .filter(({ spec }) => spec?.nodeName === node)
      .flatMap(({ status }) => (status?.containerStatuses ?? []).map(({ restartCount = 0 }) => restartCount))
      .reduce((sum, each) => sum + each, 0);
  const before = await restartsOf();
  const machine = await suite.cluster.needs('node-exec');
  const { exitCode, stderr } = await machine.nodeExec(node, ['pkill', '-KILL', '-f', 'proxy ztunnel$']);
  expect([exitCode, stderr]).toEqual([0, '']);
  await until('it was started again', async () => (await restartsOf()) > before, { timeoutMs: 120_000 });
  await suite.mesh.rolledOut('ztunnel');
}

test.each([
  [
    'pod deleted',
    'no other was there to take over',
    (node: string) => suite.mesh.replacePod('ztunnel', node, 0),
  ],
  ['process killed', 'its container was started again', crash],
])(
  'a ztunnel that is killed takes its connections along, and the next one serves all as before: %s',
  async (what, besides, act) => {
    const disturbed = await underLoad(client, space.host('server'), () => act(client.node));
    const { longestGapMs } = disturbed.fresh;
    rows.add(`ztunnel kill, ${what}`, disturbed, `${besides}; no answer for at most ${longestGapMs} ms`);
    const { fresh } = disturbed;
    expect(fresh.ok).toBeGreaterThan(0);
    await client.settledOn({ host: space.host('server') });
    const after = await client.load({
      host: space.host('server'),
      connections: 'new',
      requestsPerSecond: 50,
    });
    await after.hasServed(50);
    expect(await after.end()).toMatchObject({ failed: 0, errors: [] });
  },
);
