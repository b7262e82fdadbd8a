import { beforeAll, expect, test } from '@jest/globals';
import { takeControlPlaneAway } from './kit/away.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { toldOf } from './kit/events.ts';
import { isReady } from './kit/mesh.ts';
import { echoPod, MODE_LABEL, peerAuthentication, serviceAccount } from './kit/objects.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { throughout, until } from './kit/wait.ts';

const suite = useSuite('control-plane');
const ACCOUNT = 'stranger';
/** A busy machine may do nothing for seconds; what is lost is a failure all the same. */
const TIMEOUT_MS = 30_000;
let inside: Space;
let outside: Space;
let client: EchoPod;
let free: EchoPod;
/** In a namespace that is STRICT and not in the mesh yet; it stays outside. */
let stranger: EchoPod;
let strict: Space;

beforeAll(async () => {
  [inside, outside, strict] = await Promise.all([
    suite.space('in', 'ambient'),
    suite.space('out'),
    suite.space('strict'),
  ]);
  ({ client } = await suite.pair(inside));
  ({ client: free } = await suite.pair(outside));
  await strict.apply(peerAuthentication(strict.name, 'default', { mode: 'STRICT' }));
  [stranger] = (await strict.run(
    { name: 'stranger', labels: { [MODE_LABEL]: 'none' } },
    { name: 'server' },
  )) as [EchoPod, EchoPod];
  await inside.enrolled(true, 'client', 'server');
  await inside.apply(serviceAccount(inside.name, ACCOUNT));
  // The node's Services may be behind the readiness of pods.
  await free.settledOn({ host: outside.host('server') });
  await stranger.settledOn({ host: strict.host('server') });
  await client.settledOn({ host: inside.host('server') });
});

test('without a control plane: who has no certificate stays outside or waits, and all goes on; with it again, they come in', async () => {
  const order = { connections: 'new', requestsPerSecond: 20, timeoutMs: TIMEOUT_MS } as const;
  const load = await client.load({ host: inside.host('server'), ...order });
  const clear = await free.load({ host: outside.host('server'), ...order });
  const held = await stranger.load({
    host: strict.host('server'),
    connections: 1,
    requestsPerSecond: 10,
    timeoutMs: TIMEOUT_MS,
  });
  const bringBack = await takeControlPlaneAway(suite);

  // Its account's certificate is on the node.
  const [known] = (await inside.run({ name: 'known', node: client.node })) as [EchoPod];
  await known.mustReach({ host: inside.host('server') });

  const guarded = { name: 'guarded', namespace: inside.name, node: client.node, serviceAccount: ACCOUNT };
  await inside.apply(echoPod(suite.cluster.file.images, guarded));
  expect(
    await toldOf(
      suite.cluster,
      { namespace: inside.name, pod: 'guarded' },
      'FailedCreatePodSandBox',
      'istio-cni',
    ),
  ).toMatch(
    new RegExp(
      `did not let pod ${inside.name}/guarded start: ztunnel refused pod \\S+: no certificate for spiffe://\\S+/ns/${inside.name}/sa/${ACCOUNT}: `,
    ),
  );

  await Promise.all([outside.label('ambient'), strict.label('ambient')]);
  expect(
    await toldOf(
      suite.cluster,
      { namespace: outside.name, pod: 'client' },
      'EnrolmentFailed',
      'no certificate for',
    ),
  ).toContain(`/ns/${outside.name}/sa/`);
  await toldOf(suite.cluster, { namespace: strict.name, pod: 'server' }, 'EnrolmentFailed', 'no certificate');
  // Longer than ztunnel takes to look for connections that policy does not let be.
  await throughout(
    'they are not in the mesh',
    async () => !isReady(await inside.pod('guarded')) && !isEnrolled(await outside.pod('client')),
    5_000,
  );
  expect(await held.report()).toMatchObject({ failed: 0, reopened: 0 });

  await bringBack();
  await strict.enrolled(true, 'server');
  await until('policy ends what began in clear', async () => (await held.report()).failed > 0);
  await held.end();
  await outside.enrolled(true, 'client', 'server');
  await free.mustReach({ host: outside.host('server') });
  await (await inside.ready('guarded')).mustReach({ host: inside.host('server') });
  expect(await load.end()).toMatchObject({ failed: 0, errors: [] });
  expect(await clear.end()).toMatchObject({ failed: 0, errors: [] });
});
