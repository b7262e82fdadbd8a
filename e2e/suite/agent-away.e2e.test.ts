import { beforeAll, expect, test } from '@jest/globals';
import { events } from './kit/events.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { echoPod } from './kit/objects.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, throughout, until } from './kit/wait.ts';

const suite = useSuite('agent');
/** No node has it, so a DaemonSet that asks for it has no pod. */
const NOWHERE = { 'ambit.e2e/nowhere': 'true' };

let inside: Space;
let outside: Space;
let client: EchoPod;

/** Takes every agent away, as an operator does who stops the DaemonSet; or brings them back. */
async function agents(present: boolean): Promise<void> {
  const nodeSelector = present ? { 'ambit.e2e/nowhere': null } : NOWHERE;
  await suite.mesh.patch('agent', { spec: { template: { spec: { nodeSelector } } } });
  if (present) await suite.mesh.rolledOut('agent');
  else
    await until('no agent', async () => (await suite.mesh.podsOf('agent')).length === 0, {
      timeoutMs: 90_000,
    });
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  inside = await suite.space('in', 'ambient');
  outside = await suite.space('out');
  [client] = (await inside.run({ name: 'client', node: first }, { name: 'server', node: second })) as [
    EchoPod,
  ];
  await inside.enrolled(true, 'client', 'server');
  suite.atEnd(() => agents(true));
});

test('without the agent: what runs goes on, outsiders start, a pod of the mesh waits and says for what', async () => {
  const load = await client.load({ host: inside.host('server'), connections: 'new', requestsPerSecond: 20 });
  await agents(false);
  const options = { name: 'guarded', namespace: inside.name, node: suite.nodes[0] };
  await inside.apply(echoPod(suite.cluster.file.images, options));
  await outside.run({ name: 'free', node: suite.nodes[0] });

  const reason = await eventually(
    'an event of the pod says why it does not start',
    async () => {
      const { items } = await suite.cluster.client.list(events, {
        namespace: inside.name,
        fieldSelector: 'involvedObject.name=guarded,reason=FailedCreatePodSandBox',
      });
      return items.map(({ message }) => message ?? '').find((text) => text.includes('istio-cni'));
    },
    (text) => text !== undefined,
  );
  expect(reason).toMatch(/agent/);
  await throughout('it does not start', async () => !isReady(await inside.pod('guarded')), 3_000);

  await agents(true);
  await inside.ready('guarded');
  expect(isEnrolled(await inside.pod('guarded'))).toBe(true);
  await (await inside.ready('guarded')).mustReach({ host: inside.host('server') });
  expect(await load.end()).toMatchObject({ failed: 0, errors: [] });
});
