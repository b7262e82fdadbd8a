import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RequestOutcome } from '../echo/messages.ts';
import { PORTS } from '../echo/ports.ts';
import { deployments } from '@ambit/kube/resources/core';
import { type Disturbed, lost, Rows, say, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { echoSet, service } from './kit/objects.ts';
import { loadSmallImage, SMALL_IMAGE } from './kit/small-image.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, until } from './kit/wait.ts';

const suite = useSuite('rollout');
const rows = new Rows();
const REPLICAS = 10;
const TOGETHER = 8;
/** Long enough for each held connection to hear, with an answer, that it should go elsewhere; on a busy machine, too. */
const DRAIN_MS = 10_000;
const GRACE_S = 40;
/** Longer than nine pods take to start. */
const LOGS_SINCE_S = 600;

/** The application that is rolled out: the suites' own, or a server that starts in milliseconds, and answers HTTP/1.1 alone. */
type Program = 'echo' | typeof SMALL_IMAGE;

interface Application {
  readonly space: Space;
  readonly client: EchoPod;
}

let meshed: Application;

const deployment = (
  space: Space,
  name: string,
  replicas: number,
  env: Readonly<Record<string, string>>,
  image: Program = 'echo',
) => {
  const options = { name, namespace: space.name, replicas, env, image, graceSeconds: GRACE_S };
  return echoSet(suite.cluster.file.images, options);
};

const version = (space: Space, program: Program, number: number) =>
  deployment(space, program, REPLICAS, { DRAIN_MS: String(DRAIN_MS), VERSION: String(number) }, program);

async function application(
  space: Space,
  program: Program = 'echo',
): Promise<Application & { readonly pods: readonly EchoPod[] }> {
  await space.apply(service(space.name, program), version(space, program, 1));
  const [client] = (await space.run({ name: 'client', node: suite.nodes[0] })) as [EchoPod];
  const pods = await space.allReady(program, REPLICAS, { timeoutMs: 120_000 });
  await client.eventuallyReachesAll({ host: space.host(program) }, namesOf(pods));
  return { space, client, pods };
}

const namesOf = (pods: readonly EchoPod[]) => pods.map(({ name }) => name);

async function rollOut({ space, client }: Application, program: Program = 'echo'): Promise<Disturbed> {
  const before = new Set((await space.podsOf(program)).map(({ metadata }) => metadata.name));
  return await underLoad(client, space.host(program), async () => {
    await space.apply(version(space, program, 2));
    await until(
      'only new pods',
      async () => {
        const now = await space.podsOf(program);
        return now.length === REPLICAS && now.every(({ metadata }) => !before.has(metadata.name));
      },
      { timeoutMs: 150_000, everyMs: 500 },
    );
    await space.allReady(program, REPLICAS);
  });
}

beforeAll(async () => {
  const { pods, ...made } = await application(await suite.space('app', 'ambient'));
  meshed = made;
  await made.space.enrolled(true, 'client', ...namesOf(pods));
});
afterAll(() => rows.print());

test('a rollout of ten replicas under traffic loses nothing', async () => {
  const disturbed = await rollOut(meshed);
  rows.add(`application rollout, ${REPLICAS} replicas`, disturbed);
  expect(lost(disturbed)).toEqual([]);
});

/**
 * Pods that start take the same processors as requests: what of the row above is theirs, this one says. What is lost there is
 * Kubernetes' affair, which promises nothing: a node that hears of a pod's end too late sends to where nobody is.
 */
test('one outside the mesh, which the row above is to be compared with', async () => {
  const disturbed = await rollOut(await application(await suite.space('plain')));
  rows.add('the same outside the mesh', disturbed);
  expect(disturbed.fresh.ok).toBeGreaterThan(0);
});

/** What is left where the programs of the pods start at once: the work of kubelet, runtime, and the mesh. */
test('a program that starts in milliseconds loses nothing in the mesh; outside, for comparison', async () => {
  await loadSmallImage(suite.cluster);
  const places = { outside: await suite.space('small-plain'), inside: await suite.space('small', 'ambient') };
  for (const [where, space] of Object.entries(places)) {
    const { client, pods } = await application(space, SMALL_IMAGE);
    if (where === 'inside') await space.enrolled(true, 'client', ...namesOf(pods));
    const disturbed = await rollOut({ space, client }, SMALL_IMAGE);
    rows.add(`the same of a small program, ${where} the mesh`, disturbed);
    if (where === 'inside') expect(lost(disturbed)).toEqual([]);
    await space.apply(deployment(space, SMALL_IMAGE, 0, {}, SMALL_IMAGE));
  }
});

/** Outcomes of the first requests of one pod, and then of {@link TOGETHER} that start at once, to a server of its own. */
async function firstRequests(space: Space, where: string): Promise<readonly RequestOutcome[]> {
  const env = { FIRST_REQUEST: `http ${space.host('server')} ${PORTS.http}` };
  await space.apply(deployment(space, 'alone', 1, env));
  const [alone] = await space.allReady('alone', 1);
  await space.apply(deployment(space, 'together', TOGETHER, env));
  const together = await space.allReady('together', TOGETHER);
  const outcomes = await Promise.all(
    [...(alone ? [alone] : []), ...together].map((pod) => pod.firstRequest()),
  );
  const [first = 0, ...others] = outcomes.map(({ latencyMs }) => latencyMs);
  const middle = others.toSorted((a, b) => a - b)[Math.floor(others.length / 2)] ?? 0;
  say(
    `\nfirst request of a brand-new pod, ${where} the mesh: ${first.toFixed(0)} ms; of ${TOGETHER} at once: p50 ${middle.toFixed(0)} ms\n`,
  );
  return outcomes;
}

test('the first request of every brand-new pod goes well, with its identity; outside, for comparison', async () => {
  const outside = await suite.space('first-plain');
  const [caller] = (await outside.run(
    { name: 'client', node: suite.nodes[0] },
    { name: 'server', node: suite.nodes[1] },
  )) as [EchoPod];
  await caller.settledOn({ host: outside.host('server') });
  await firstRequests(outside, 'outside');
  const { space, client } = meshed;
  await space.run({ name: 'server', node: suite.nodes[1] });
  await space.enrolled(true, 'server');
  await client.settledOn({ host: space.host('server') });
  const outcomes = await firstRequests(space, 'inside');
  expect(outcomes.map(({ ok }) => ok)).toEqual(Array.from({ length: TOGETHER + 1 }, () => true));
  const callers = await eventually(
    'a line for each of them',
    async () =>
      (await suite.mesh.accessLogOf(suite.nodes[1], LOGS_SINCE_S))
        .filter(
          ({ fields }) => fields['direction'] === 'inbound' && fields['dst.service'] === space.host('server'),
        )
        .map(({ fields }) => fields['src.identity']),
    ({ length }) => length > TOGETHER,
  );
  expect(new Set(callers)).toEqual(new Set([`spiffe://cluster.local/ns/${space.name}/sa/default`]));
});

test('a Deployment that is scaled to nothing refuses, and serves when it is back', async () => {
  const { space, client } = meshed;
  const at = { namespace: space.name, name: 'echo' };
  const scale = (replicas: number) =>
    suite.cluster.client.patch(deployments, at, { type: 'merge', body: { spec: { replicas } } });
  await scale(0);
  await until('no pod', async () => (await space.podsOf('echo')).length === 0, { timeoutMs: 120_000 });
  await client.eventuallyRefused({ host: space.host('echo') }, /ECONNRE|hang up|closed/);
  await scale(2);
  await space.allReady('echo', 2);
  await client.eventuallyReaches({ host: space.host('echo') });
});
