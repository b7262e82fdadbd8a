import { beforeAll, expect, test } from '@jest/globals';
import { linesWith } from './kit/access-log.ts';
import { takeAway } from './kit/away.ts';
import { events, toldOf } from './kit/events.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { NodeLists, PLUGIN, typesOf, withoutOurs } from './kit/node-list.ts';
import { echoPod } from './kit/objects.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, throughout } from './kit/wait.ts';

const suite = useSuite('agent');
let inside: Space;
let outside: Space;
let client: EchoPod;

/** What the event of a pod that cannot start says that the plugin said. */
const saidOf = (pod: string) =>
  toldOf(suite.cluster, { namespace: inside.name, pod }, 'FailedCreatePodSandBox', 'istio-cni');

beforeAll(async () => {
  inside = await suite.space('in', 'ambient');
  outside = await suite.space('out');
  ({ client } = await suite.pair(inside));
  await inside.enrolled(true, 'client', 'server');
});

test('without the agent: what runs goes on, outsiders start, a pod of the mesh waits and says for what', async () => {
  await client.settledOn({ host: inside.host('server') });
  const load = await client.load({ host: inside.host('server'), connections: 'new', requestsPerSecond: 20 });
  const bringBack = await takeAway(suite, 'agent', suite.nodes[0]);
  const options = { name: 'guarded', namespace: inside.name, node: suite.nodes[0] };
  await inside.apply(echoPod(suite.cluster.file.images, options));
  await outside.run({ name: 'free', node: suite.nodes[0] });

  expect(await saidOf('guarded')).toMatch(
    new RegExp(
      `the node agent does not answer at \\S+ \\((nobody listens there|no such socket)\\b[^)]*\\), and namespace "${inside.name}" is enrolled in the mesh by .*: the pod cannot start without its redirection; is the istio-cni-node pod of this node running\\?`,
    ),
  );
  await throughout('it does not start', async () => !isReady(await inside.pod('guarded')), 3_000);

  await bringBack();
  await inside.ready('guarded');
  expect(isEnrolled(await inside.pod('guarded'))).toBe(true);
  await (await inside.ready('guarded')).mustReach({ host: inside.host('server') });
  expect(await load.end()).toMatchObject({ failed: 0, errors: [] });
});

test('without the ztunnel: a pod of the mesh waits and says for what, and starts when it is back', async () => {
  const bringBack = await takeAway(suite, 'ztunnel', suite.nodes[0]);
  await inside.apply(
    echoPod(suite.cluster.file.images, { name: 'early', namespace: inside.name, node: suite.nodes[0] }),
  );
  expect(await saidOf('early')).toMatch(
    /the node agent at \S+ did not let pod \S+\/early start: no ztunnel is connected/,
  );
  await throughout('it does not start', async () => !isReady(await inside.pod('early')), 3_000);

  await bringBack();
  await (await inside.ready('early')).mustReach({ host: inside.host('server') });
});

test('a pod that started past agent and plugin is taken in once there is an agent, and told; what it had open goes on', async () => {
  const lists = new NodeLists(await suite.cluster.needs('node-exec'), suite.nodes[0]);
  const bringBack = await takeAway(suite, 'agent', suite.nodes[0]);
  // As on a node that was set up anew: with the list of plugins from before the mesh.
  const { path, list } = await lists.first();
  await lists.write(path, JSON.stringify(withoutOurs(list)));
  const [late] = (await inside.run({ name: 'late', node: suite.nodes[0] })) as [EchoPod];
  expect(isEnrolled(await inside.pod('late'))).toBe(false);
  await late.settledOn({ host: inside.host('server') });
  const open = await late.load({ host: inside.host('server'), connections: 1, requestsPerSecond: 10 });
  await open.hasServed(5);

  await bringBack();
  await inside.enrolled(true, 'late');
  // Each of what comes next is done by itself.
  await eventually(
    'the plugin is put back',
    async () => typesOf((await lists.first()).list),
    (types) => types.join() === [...typesOf(withoutOurs(list)), PLUGIN].join(),
  );
  const told = await eventually(
    'the event of it',
    async () => {
      const { items } = await suite.cluster.client.list(events, {
        namespace: inside.name,
        fieldSelector: 'involvedObject.name=late,reason=EnrolledLate',
      });
      return items.map(({ message }) => message);
    },
    ({ length }) => length > 0,
  );
  expect(told).toEqual([expect.stringContaining('the CNI plugin was not asked when this pod started')]);
  const { ok } = await open.report();
  await open.hasServed(ok + 5);
  expect(await open.end()).toMatchObject({ failed: 0, reopened: 0 });
  await late.mustReach({ host: inside.host('server') });
  await eventually(
    'what it asks now is in the mesh',
    async () =>
      linesWith(await suite.mesh.accessLogOf(client.node), {
        direction: 'outbound',
        'src.workload': 'late',
        'src.namespace': inside.name,
      }),
    (lines) => lines.length > 0,
  );
});
