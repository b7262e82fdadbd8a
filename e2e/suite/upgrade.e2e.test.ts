import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { type Part, PARTS } from './kit/mesh.ts';
import { OtherVersion, type Version, versionUnderTest } from './kit/other-version.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';

const suite = useSuite('upgrade');
const rows = new Rows();
/** Images of another commit are built with the dependencies that it had. */
const BUILD_TIMEOUT_MS = 900_000;
const CHANGE_TIMEOUT_MS = 240_000;

let other: OtherVersion;
let space: Space;
let client: EchoPod;

beforeAll(async () => {
  other = await OtherVersion.make(suite.cluster);
  suite.atEnd(() => other[Symbol.asyncDispose]());
  suite.atEnd(() => versionUnderTest(suite.cluster).install());
  space = await suite.space('app', 'ambient');
  ({ client } = await suite.pair(space));
  await space.enrolled(true, 'client', 'server');
}, BUILD_TIMEOUT_MS);
afterAll(() => rows.print());

/** The tags that the pods of a part run. */
async function tagsOf(part: Part): Promise<ReadonlySet<string>> {
  const images = (await suite.mesh.podsOf(part)).flatMap(({ spec }) =>
    (spec?.containers ?? []).map(({ image = '' }) => image),
  );
  return new Set(images.map((image) => image.slice(image.lastIndexOf(':') + 1)));
}

/** Takes the mesh to `version` while the application is used from the other node. */
async function nothingIsLostOnTheWayTo(version: Version): Promise<void> {
  const disturbed = await underLoad(client, space.host('server'), async () => {
    await version.install();
    for (const part of Object.keys(PARTS) as readonly Part[]) await suite.mesh.rolledOut(part);
  });
  rows.add(`the whole mesh to ${version.name}`, disturbed);
  expect(lost(disturbed)).toEqual([]);
  for (const part of Object.keys(PARTS) as readonly Part[])
    expect([part, await tagsOf(part)]).toEqual([part, new Set([version.tag])]);
  await client.mustReach({ host: space.host('server') });
}

test(
  'nothing is lost on the way to another version',
  () => nothingIsLostOnTheWayTo(other),
  CHANGE_TIMEOUT_MS,
);

test(
  'nor on the way back',
  () => nothingIsLostOnTheWayTo(versionUnderTest(suite.cluster)),
  CHANGE_TIMEOUT_MS,
);
