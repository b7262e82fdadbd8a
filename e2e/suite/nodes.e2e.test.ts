import { beforeAll, expect, test } from '@jest/globals';
import { nodes } from '@ambit/kube/resources/core';
import type { Cluster as Machine } from '../cluster/provider.ts';
import { keepFromStarting } from './kit/away.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { events } from './kit/events.ts';
import { installWith } from './kit/installation.ts';
import { PARTS, type Part } from './kit/mesh.ts';
import { echoPod } from './kit/objects.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, LED, throughout, until } from './kit/wait.ts';

const suite = useSuite('nodes');
/** What a node group's configuration gives its nodes, so that no pod starts before the agent can enrol it. */
const NOT_READY = { key: 'cni.istio.io/not-ready', value: 'true', effect: 'NoSchedule' };

let space: Space;
let client: EchoPod;
let machine: Machine;
let node: string | undefined;

beforeAll(async () => {
  await suite.cluster.needs('remove-node');
  machine = await suite.cluster.needs('add-node');
  suite.atEnd(async () => {
    if (node !== undefined) await machine.removeNode(node);
  });
  space = await suite.space('app', 'ambient');
  [client] = (await space.run({ name: 'client', node: suite.nodes[0] })) as [EchoPod];
  await space.enrolled(true, 'client');
});

async function added(): Promise<string> {
  node ??= await machine.addNode();
  return node;
}

async function hasTaint(name: string): Promise<boolean> {
  const { spec } = await suite.cluster.client.get(nodes, { name });
  return (spec?.taints ?? []).some(({ key }) => key === NOT_READY.key);
}

test('a node that joins with the taint takes pods once its agent is ready, and not before', async () => {
  await installWith(suite, 'istiod.taint.enabled');
  const bringBack = await keepFromStarting(suite, 'agent');
  node = await machine.addNode([NOT_READY]);
  const joined = node;
  await space.apply(
    echoPod(suite.cluster.file.images, { name: 'waits', namespace: space.name, node: joined }),
  );
  const isScheduled = async () =>
    (await space.pod('waits')).status?.conditions?.find(({ type }) => type === 'PodScheduled');
  const refused = await eventually(
    'the scheduler says why the pod waits',
    isScheduled,
    (one) => one?.status === 'False',
  );
  expect(refused?.message).toMatch(/untolerated taint/);
  await throughout('the node has its taint', () => hasTaint(joined), 3_000);

  await bringBack();
  await until('the taint is gone', async () => !(await hasTaint(joined)), LED);
  const waited = await space.ready('waits');
  expect(isEnrolled(await space.pod('waits'))).toBe(true);
  await waited.mustReach({ host: space.host('client') });
  // It came in with its start, not by repair.
  const { items } = await suite.cluster.client.list(events, {
    namespace: space.name,
    fieldSelector: 'involvedObject.name=waits,reason=EnrolledLate',
  });
  expect(items).toEqual([]);
});

test('a node that joins serves the mesh, and one that dies is forgotten', async () => {
  const joined = await added();
  for (const part of ['agent', 'ztunnel'] satisfies Part[])
    await until(
      `${PARTS[part].name} on ${joined}`,
      async () => (await suite.mesh.podOf(part, joined)) !== undefined,
      {
        timeoutMs: 120_000,
      },
    );

  const [far] = (await space.run({ name: 'far', node: joined })) as [EchoPod];
  await space.enrolled(true, 'far');
  await client.eventuallyReaches({ host: space.host('far') });
  await far.mustReach({ host: space.host('client') });
  await client.settledOn({ host: space.host('client') });
  const before = client.load({ host: space.host('client'), connections: 2, requestsPerSecond: 20 });

  await machine.removeNode(joined);
  node = undefined;
  expect(await client.eventuallyRefused({ host: space.host('far') })).not.toBe('');
  // A pod that does not answer any more is refused, too: that it is forgotten comes after.
  await until('far is forgotten', async () => {
    const { workloads } = (await suite.mesh.configDumpOf(client.node)) as {
      readonly workloads: readonly { readonly name: string; readonly namespace: string }[];
    };
    return !workloads.some(({ name, namespace }) => name === 'far' && namespace === space.name);
  });
  expect(await (await before).end()).toMatchObject({ failed: 0 });
});
