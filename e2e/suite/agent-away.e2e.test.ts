import { beforeAll, expect, test } from '@jest/globals';
import { daemonSets, type Pod, pods } from '@ambit/kube/resources/core';
import { events } from './kit/events.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { isReady, PARTS, SYSTEM } from './kit/mesh.ts';
import { echoPod } from './kit/objects.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, throughout, until } from './kit/wait.ts';

const suite = useSuite('agent');
/** What a node cannot fetch: the agent's pod is replaced by one that does not start, as when an upgrade goes wrong. */
const NO_IMAGE = 'ambit.invalid/install-cni:none';

let inside: Space;
let outside: Space;
let client: EchoPod;

type Away = 'agent' | 'ztunnel';
const CONTAINERS: Readonly<Record<Away, string>> = { agent: 'install-cni', ztunnel: 'istio-proxy' };

/** Gives a part an image; only a pod that is deleted gets it while the strategy is OnDelete. */
async function setImage(part: Away, image: string, updateStrategy: object): Promise<void> {
  const containers = [{ name: CONTAINERS[part], image }];
  await suite.mesh.patch(part, { spec: { updateStrategy, template: { spec: { containers } } } });
}

/** Takes a part away from a node. @returns what brings it back; that is done when the suite ends, in any case. */
async function takeAway(part: Away, node: string): Promise<() => Promise<void>> {
  const { metadata, spec } = await suite.mesh.podOf(part, node);
  const image = spec?.containers?.[0]?.image ?? '';
  const at = { namespace: SYSTEM, name: PARTS[part].name };
  const { spec: as } = await suite.cluster.client.get(daemonSets, at);
  const { updateStrategy = {} } = as as { readonly updateStrategy?: object };
  const bringBack = async () => {
    await setImage(part, image, updateStrategy);
    await suite.mesh.rolledOut(part);
  };
  suite.atEnd(bringBack);
  await setImage(part, NO_IMAGE, { type: 'OnDelete', rollingUpdate: null });
  // Else the pod that comes next may be one of before.
  await until('the controller has seen it', async () => {
    const { metadata: wanted, status } = await suite.cluster.client.get(daemonSets, at);
    return (status?.observedGeneration ?? 0) >= (wanted.generation ?? 0);
  });
  await suite.cluster.client.delete(pods, { namespace: metadata.namespace, name: metadata.name });
  await until(
    `no ${part}`,
    async () =>
      (await suite.mesh.podsOf(part)).every((pod) => pod.spec?.nodeName !== node || !isRunning(pod)),
    { timeoutMs: 90_000 },
  );
  return bringBack;
}

/** What the event of a pod that cannot start says that the plugin said. */
async function saidOf(pod: string): Promise<string> {
  const said = await eventually(
    'an event of the pod says why it does not start',
    async () => {
      const { items } = await suite.cluster.client.list(events, {
        namespace: inside.name,
        fieldSelector: `involvedObject.name=${pod},reason=FailedCreatePodSandBox`,
      });
      return items.map(({ message }) => message ?? '').find((text) => text.includes('istio-cni'));
    },
    (text) => text !== undefined,
    { timeoutMs: 90_000 },
  );
  return said ?? '';
}

const isRunning = ({ status }: Pod) => status?.phase === 'Running';

beforeAll(async () => {
  inside = await suite.space('in', 'ambient');
  outside = await suite.space('out');
  ({ client } = await suite.pair(inside));
  await inside.enrolled(true, 'client', 'server');
});

test('without the agent: what runs goes on, outsiders start, a pod of the mesh waits and says for what', async () => {
  const load = await client.load({ host: inside.host('server'), connections: 'new', requestsPerSecond: 20 });
  const bringBack = await takeAway('agent', suite.nodes[0]);
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
  const bringBack = await takeAway('ztunnel', suite.nodes[0]);
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
