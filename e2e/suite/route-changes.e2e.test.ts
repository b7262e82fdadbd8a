/**
 * A route among a thousand is changed while requests go through its waypoint: none is lost, and how long it takes until a
 * request meets the change is printed, from before the write to the API server on. The waypoint has its two pods, so a
 * change is there when neither of them answers by the old route any more.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import { lost, Rows, say, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { service } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { EVERYBODY, until } from './kit/wait.ts';
import { route } from './kit/waypoint-objects.ts';

const suite = useSuite('route-changes');
const rows = new Rows();
const ROUTES = 1_000;
const SERVICES = 200;
const CHANGES = 50;
/** The field by which the application tells by which revision of a route it was asked. */
const REVISION = 'x-revision';
const WRITERS = 10;
const SETUP_TIMEOUT_MS = 300_000;
/** So many answers in a row by the new route, over new connections, which go to both pods. */
const SETTLED_ANSWERS = 6;
const CHANGE_TIMEOUT_MS = 60_000;

let space: Space;
let client: EchoPod;
let revision = 0;

const serviceOf = (index: number) => `s${index % SERVICES}`;
const pathOf = (index: number) => `/r${index}`;

function routeOf(index: number, value: number): KubeObject {
  const set = [{ name: REVISION, value: String(value) }];
  return route('HTTPRoute', space.name, `r${index}`, serviceOf(index), PORTS.http, [
    {
      matches: [{ path: { type: 'PathPrefix', value: pathOf(index) } }],
      filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set } }],
      backendRefs: [{ name: 'server', port: PORTS.http }],
    },
    // What is asked of a service besides, among it the load.
    ...(index < SERVICES ? [{ backendRefs: [{ name: 'server', port: PORTS.http }] }] : []),
  ]);
}

async function applyAll(objects: readonly KubeObject[]): Promise<void> {
  const share = Math.ceil(objects.length / WRITERS);
  await Promise.all(
    Array.from({ length: WRITERS }, (_, writer) =>
      space.apply(...objects.slice(writer * share, (writer + 1) * share)),
    ),
  );
}

async function revisionSeen(index: number): Promise<string | undefined> {
  const outcome = await client.mustReach({
    host: space.host(serviceOf(index)),
    path: pathOf(index),
  });
  return outcome.server?.headers?.[REVISION];
}

interface Change {
  /** When the API server had taken the write. */
  readonly writtenMs: number;
  /** When the first request that met the change was asked. */
  readonly firstMs: number;
  /** When the last one was answered that did not. */
  readonly lastStaleMs: number;
}

/** Milliseconds from before the write on; a request counts from when it was asked, which errs to our disadvantage. */
async function change(index: number): Promise<Change> {
  revision += 1;
  const wanted = String(revision);
  const began = performance.now();
  const sinceMs = () => performance.now() - began;
  await space.apply(routeOf(index, revision));
  const writtenMs = sinceMs();
  let firstMs: number | undefined;
  let lastStaleMs = writtenMs;
  for (let settled = 0; settled < SETTLED_ANSWERS; ) {
    const askedMs = sinceMs();
    if ((await revisionSeen(index)) === wanted) {
      firstMs ??= askedMs;
      settled += 1;
      continue;
    }
    settled = 0;
    lastStaleMs = sinceMs();
    if (lastStaleMs > CHANGE_TIMEOUT_MS) throw new Error(`route r${index} is not in effect: ${wanted}`);
  }
  return { writtenMs, firstMs: firstMs ?? 0, lastStaleMs };
}

beforeAll(async () => {
  space = await suite.space('app', 'ambient');
  ({ client } = await suite.pair(space));
  await space.enrolled(true, 'client', 'server');
  const said = await runAmbit(
    suite.cluster,
    ...['waypoint', 'apply', '-n', space.name, '--enroll-namespace', '--waypoint-timeout', '150s'],
  );
  expect(said.status).toBe(0);
  const named = { selector: { app: 'server' } };
  await applyAll(Array.from({ length: SERVICES }, (_, index) => service(space.name, `s${index}`, named)));
  await applyAll(Array.from({ length: ROUTES }, (_, index) => routeOf(index, 0)));
  for (const index of [0, ROUTES - 1])
    await until(`route r${index}`, async () => (await revisionSeen(index)) === '0', { inARow: EVERYBODY });
}, SETUP_TIMEOUT_MS);
afterAll(() => rows.print());

test('a changed route takes effect and loses no request', async () => {
  const changes: Change[] = [];
  const disturbed = await underLoad(client, space.host(serviceOf(0)), async () => {
    // Those of the service that is under load among them.
    for (let n = 0; n < CHANGES; n++)
      changes.push(await change(n % 2 === 0 ? ((n / 2) * SERVICES) % ROUTES : (n * 37) % ROUTES));
  });
  const took = changes.map(({ lastStaleMs }) => lastStaleMs);
  rows.add(`${CHANGES} changed routes of ${ROUTES}`, disturbed);
  say(
    `\nchanged route → no request meets the old one, from before the write: ${percentiles(took)}; ` +
      `until the API server's answer: ${percentiles(changes.map(({ writtenMs }) => writtenMs))}; ` +
      `until the first request that met it: ${percentiles(changes.map(({ firstMs }) => firstMs))}\n`,
  );
  expect(lost(disturbed)).toEqual([]);
  expect(disturbed.held.reopened).toBe(0);
});

function percentiles(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return `p50 ${at(0.5).toFixed(0)}, p99 ${at(0.99).toFixed(0)}, max ${at(1).toFixed(0)} ms`;
}
