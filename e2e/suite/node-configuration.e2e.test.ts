/** The plugin in a node's network configuration, beside others who write there; and in a list of its own. */
import { beforeAll, expect, test } from '@jest/globals';
import { runAmbit } from './kit/ambit.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { install, installWith } from './kit/installation.ts';
import { NodeLists, PLUGIN, typesOf, withoutOurs } from './kit/node-list.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually } from './kit/wait.ts';

const suite = useSuite('node-configuration');
const NOTE = 'written anew';
const PUT_BACK = { timeoutMs: 60_000, everyMs: 500 };
const OWN_LIST = '02-istio-cni.conflist';
/** A mesh installed with it, taken away, and installed again. */
const OWN_LIST_TIMEOUT_MS = 420_000;

let space: Space;
let server: EchoPod;
let lists: NodeLists;

beforeAll(async () => {
  const machine = await suite.cluster.needs('node-exec');
  space = await suite.space('app', 'ambient');
  [server] = (await space.run({ name: 'server', node: suite.nodes[1] })) as [EchoPod];
  await space.enrolled(true, 'server');
  lists = new NodeLists(machine, server.node);
});

async function startsEnrolled(name: string): Promise<void> {
  const [newcomer] = (await space.run({ name, node: server.node })) as [EchoPod];
  expect(isEnrolled(await space.pod(name))).toBe(true);
  await newcomer.mustReach({ host: space.host('server') });
}

test('the plugin is the last of the chain; who writes the file anew finds it put back, and what was written kept', async () => {
  const { path, text, list } = await lists.first();
  suite.atEnd(() => lists.write(path, text));
  expect(typesOf(list).at(-1)).toBe(PLUGIN);
  const others = withoutOurs(list);
  // As an operator of the cluster's network would: the whole file, in its own words, with something changed.
  await lists.write(path, JSON.stringify({ ...others, note: NOTE }));
  const after = await eventually(
    'the plugin put back',
    () => lists.first(),
    (now) => typesOf(now.list).at(-1) === PLUGIN,
    PUT_BACK,
  );
  expect(typesOf(after.list)).toEqual([...typesOf(others), PLUGIN]);
  expect(after.list.note).toBe(NOTE);
  await startsEnrolled('newcomer');
});

test(
  'a list of the mesh’s own comes first while it is wanted, and goes with the mesh; the node’s is as before',
  async () => {
    const { path, list } = await lists.first();
    await installWith(suite, 'cni.istioOwnedCNIConfig');
    const owned = await eventually(
      'the list of its own',
      () => lists.first(),
      (now) => now.path.endsWith(`/${OWN_LIST}`),
      PUT_BACK,
    );
    expect(typesOf(owned.list)).toEqual(typesOf(list));
    await startsEnrolled('by-own-list');

    const removed = await runAmbit(suite.cluster, 'uninstall', '--yes', '--release', '--keep-labels');
    expect(removed).toMatchObject({ status: 0 });
    expect(await lists.names()).not.toContain(OWN_LIST);
    const bare = await lists.first();
    expect([bare.path, typesOf(bare.list)]).toEqual([path, typesOf(withoutOurs(list))]);
    const [outside] = (await space.run({ name: 'bare', node: server.node })) as [EchoPod];
    expect(isEnrolled(await space.pod('bare'))).toBe(false);
    await outside.eventuallyReaches({ host: space.host('server') });

    await install(suite, 'cni.istioOwnedCNIConfig=false');
    const again = await eventually(
      'the plugin in the chain again',
      () => lists.first(),
      (now) => typesOf(now.list).join() === typesOf(list).join(),
      PUT_BACK,
    );
    expect(again.path).toBe(path);
    expect(await lists.names()).not.toContain(OWN_LIST);
    await space.enrolled(true, 'server', 'bare');
    await startsEnrolled('by-chain');
  },
  OWN_LIST_TIMEOUT_MS,
);
