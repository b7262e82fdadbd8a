import { beforeAll, expect, test } from '@jest/globals';
import type { EchoPod } from './kit/echo-pod.ts';
import { PARTS, type Part } from './kit/mesh.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { until } from './kit/wait.ts';

const suite = useSuite('nodes');

let space: Space;
let client: EchoPod;

beforeAll(async () => {
  space = await suite.space('app', 'ambient');
  [client] = (await space.run({ name: 'client', node: suite.nodes[0] })) as [EchoPod];
  await space.enrolled(true, 'client');
});

test('a node that joins serves the mesh, and one that dies is forgotten', async () => {
  await suite.cluster.needs('remove-node');
  const machine = await suite.cluster.needs('add-node');
  const node = await machine.addNode();
  let isThere = true;
  suite.atEnd(async () => {
    if (isThere) await machine.removeNode(node);
  });
  for (const part of ['agent', 'ztunnel'] satisfies Part[])
    await until(
      `${PARTS[part].name} on ${node}`,
      async () => (await suite.mesh.podOf(part, node)) !== undefined,
      {
        timeoutMs: 90_000,
      },
    );

  const [far] = (await space.run({ name: 'far', node })) as [EchoPod];
  await space.enrolled(true, 'far');
  await client.eventuallyReaches({ host: space.host('far') });
  await far.mustReach({ host: space.host('client') });
  const before = client.load({ host: space.host('client'), connections: 2, requestsPerSecond: 20 });

  await machine.removeNode(node);
  isThere = false;
  expect(await client.eventuallyRefused({ host: space.host('far') })).not.toBe('');
  const { workloads } = (await suite.mesh.configDumpOf(client.node)) as {
    readonly workloads: readonly { readonly name: string; readonly namespace: string }[];
  };
  expect(workloads.filter(({ name, namespace }) => name === 'far' && namespace === space.name)).toEqual([]);
  expect(await (await before).end()).toMatchObject({ failed: 0 });
});
