/**
 * What the mesh adds to a request on a quiet application: the same two pods outside the mesh and inside, turn and turn about
 * in one run, since figures of different runs are figures of different moments of a machine.
 *
 * With AMBIT_E2E_PEER_ZTUNNEL, the executable of Istio's ztunnel, that one runs in the place of ours for some of the rounds, and
 * then ours again: everything else stays the same.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { LoadReport } from '../echo/messages.ts';
import { runAmbit } from './kit/ambit.ts';
import { type Disturbed, lost, Rows, say, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { loadPeerImage } from './kit/peer-image.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';

const suite = useSuite('added-latency');
const rows = new Rows();
const PEER = process.env['AMBIT_E2E_PEER_ZTUNNEL'];
const ROUNDS = 3;
const ROUND_MS = 4_000;
const TEST_TIMEOUT_MS = 300_000;
/** Of the chart. */
const OURS = 'ztunnel';
/** What Istio's ztunnel was measured to add on another day, p50 / p99, for comparison. */
const PUBLISHED = { fresh: '+0.63 / +3.1', held: '+0.23 / +0.9' };

interface Pair {
  readonly space: Space;
  readonly client: EchoPod;
}

let plain: Pair;
let meshed: Pair;

async function pair(space: Space): Promise<Pair> {
  const { client } = await suite.pair(space);
  await client.eventuallyReaches({ host: space.host('server') });
  return { space, client };
}

beforeAll(async () => {
  plain = await pair(await suite.space('plain'));
  meshed = await pair(await suite.space('mesh', 'ambient'));
  await meshed.space.enrolled(true, 'client', 'server');
});
afterAll(() => rows.print());

/** What of a pair outside the mesh is lost, if the machine stands still, no mesh loses. */
async function measure(what: string, { client, space }: Pair, isMeshed: boolean): Promise<Disturbed> {
  const disturbed = await underLoad(client, space.host('server'), () => sleep(ROUND_MS), { afterMs: 0 });
  rows.add(what, disturbed);
  if (isMeshed) expect(lost(disturbed)).toEqual([]);
  return disturbed;
}

const middle = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Medians of the rounds' differences. */
function added(rounds: readonly { readonly without: LoadReport; readonly with: LoadReport }[]): string {
  const of = (quantile: 'p50' | 'p99') => {
    const ms = middle(
      rounds.map(({ without, with: inside }) => inside.latencyMs[quantile] - without.latencyMs[quantile]),
    );
    return `${ms < 0 ? '' : '+'}${ms.toFixed(2)}`;
  };
  return `${of('p50')} / ${of('p99')}`;
}

async function compare(what: string): Promise<void> {
  const rounds: { readonly without: Disturbed; readonly with: Disturbed }[] = [];
  for (let round = 1; round <= ROUNDS; round++)
    rounds.push({
      without: await measure(`outside the mesh, round ${round}`, plain, false),
      with: await measure(`${what}, round ${round}`, meshed, true),
    });
  const parts = (which: 'fresh' | 'held') =>
    added(rounds.map(({ without, with: inside }) => ({ without: without[which], with: inside[which] })));
  say(
    `\n${what} adds, p50 / p99 in ms, median of ${ROUNDS}: new connections ${parts('fresh')}, held ${parts('held')} ` +
      `(Istio's ztunnel on another day: ${PUBLISHED.fresh}, ${PUBLISHED.held})\n`,
  );
}

/** By the command, which keeps what it has set: a patch, as of suites before this one, takes the field away from it. */
async function ztunnel(image: string): Promise<void> {
  const which = ['--component', 'ztunnel', '--set', `ztunnel.image=${image}`];
  const change = ['upgrade', '--yes', '--force-conflicts', ...which];
  const { status, text } = await runAmbit(suite.cluster, ...change);
  if (status !== 0) throw new Error(`ambit ${change.join(' ')} ended with ${status}: ${text}`);
  await suite.mesh.rolledOut('ztunnel');
}

test('the mesh loses nothing of a quiet application', () => compare('the mesh'), TEST_TIMEOUT_MS);

if (PEER !== undefined)
  test(
    'nor does Istio’s ztunnel in the place of ours, which the figures are to be compared with',
    async () => {
      suite.atEnd(() => ztunnel(OURS));
      await ztunnel(await loadPeerImage(suite.cluster, PEER));
      await meshed.client.eventuallyReaches({ host: meshed.space.host('server') });
      await compare("the mesh with Istio's ztunnel");
      await ztunnel(OURS);
      await meshed.client.eventuallyReaches({ host: meshed.space.host('server') });
      await compare('the mesh again');
    },
    TEST_TIMEOUT_MS,
  );
