/** The plugin in a node's network configuration, beside others who write there. */
import { beforeAll, expect, test } from '@jest/globals';
import type { Cluster as Machine } from '../cluster/provider.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually } from './kit/wait.ts';

const suite = useSuite('node-configuration');
const FOLDER = '/etc/cni/net.d';
const PLUGIN = 'istio-cni';
const NOTE = 'written anew';
const PUT_BACK = { timeoutMs: 60_000, everyMs: 500 };

interface NetworkList {
  /** Of nobody: what is not known is let be. */
  readonly note?: string;
  readonly plugins: readonly { readonly type: string }[];
}

let space: Space;
let server: EchoPod;
let machine: Machine;

beforeAll(async () => {
  machine = await suite.cluster.needs('node-exec');
  space = await suite.space('app', 'ambient');
  [server] = (await space.run({ name: 'server', node: suite.nodes[1] })) as [EchoPod];
  await space.enrolled(true, 'server');
});

async function onNode(command: string): Promise<string> {
  const { exitCode, stdout, stderr } = await machine.nodeExec(server.node, ['sh', '-c', command]);
  expect([exitCode, stderr]).toEqual([0, '']);
  return stdout;
}

/** The runtime takes the first file of the folder. */
async function firstList(): Promise<{
  readonly path: string;
  readonly text: string;
  readonly list: NetworkList;
}> {
  const path = (await onNode(`ls ${FOLDER}/*.conflist | head -n 1`)).trim();
  const text = await onNode(`cat ${path}`);
  return { path, text, list: JSON.parse(text) as NetworkList };
}

/** The whole file at once, so that no runtime reads half of it. */
async function write(path: string, text: string): Promise<void> {
  const encoded = Buffer.from(text).toString('base64');
  await onNode(`printf '%s' ${encoded} | base64 -d > ${path}.new && mv ${path}.new ${path}`);
}

const types = ({ plugins }: NetworkList) => plugins.map(({ type }) => type);

test('the plugin is the last of the chain; who writes the file anew finds it put back, and what was written kept', async () => {
  const { path, text, list } = await firstList();
  suite.atEnd(() => write(path, text));
  expect(types(list).at(-1)).toBe(PLUGIN);
  const others = list.plugins.filter(({ type }) => type !== PLUGIN);
  // As an operator of the cluster's network would: the whole file, in its own words, with something changed.
  const rewritten = { ...list, plugins: others, note: NOTE };
  await write(path, JSON.stringify(rewritten));
  const after = await eventually(
    'the plugin put back',
    firstList,
    (now) => types(now.list).at(-1) === PLUGIN,
    PUT_BACK,
  );
  expect(types(after.list)).toEqual([...others.map(({ type }) => type), PLUGIN]);
  expect(after.list.note).toBe(NOTE);
  const [newcomer] = (await space.run({ name: 'newcomer', node: server.node })) as [EchoPod];
  expect(isEnrolled(await space.pod('newcomer'))).toBe(true);
  await newcomer.mustReach({ host: space.host('server') });
});
