import { beforeAll, expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { authorizationPolicy } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';

const suite = useSuite('api-server');
const AWAY_MS = 15_000;

let space: Space;
let client: EchoPod;

beforeAll(async () => {
  space = await suite.space('app', 'ambient');
  ({ client } = await suite.pair(space));
  await space.enrolled(true, 'client', 'server');
});

test('while the API server is away nothing is lost; when it is back, changes arrive', async () => {
  const machine = await suite.cluster.needs('api-server-control');
  let isAway = false;
  suite.atEnd(async () => {
    if (isAway) await machine.startApiServer();
  });
  const rows = new Rows();
  const disturbed = await underLoad(client, space.host('server'), async () => {
    isAway = true;
    await machine.stopApiServer();
    await sleep(AWAY_MS);
    await machine.startApiServer();
    isAway = false;
  });
  rows.add(`API server away for ${AWAY_MS / 1_000} s`, disturbed);
  rows.print();
  expect(lost(disturbed)).toEqual([]);

  const [newcomer] = (await space.run({ name: 'newcomer', node: suite.nodes[1] })) as [EchoPod];
  await space.enrolled(true, 'newcomer');
  await newcomer.mustReach({ host: space.host('server') });
  await client.eventuallyReaches({ host: space.host('newcomer') });
  const deny = authorizationPolicy(space.name, 'nobody', { action: 'DENY', app: 'server', rules: [{}] });
  await space.apply(deny);
  await client.eventuallyRefused({ host: space.host('server') }, /ECONNRESET|hang up/);
  await space.remove(deny);
  await client.eventuallyReaches({ host: space.host('server') });
});
