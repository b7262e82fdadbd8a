/** Routes that nobody should have stored: nothing throws, waypoints can read all that comes of them, nothing opens. */
import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { TestMesh } from '../../testing/mesh-from-yaml.ts';
import { JUNK, mutated } from '../../testing/mutate.ts';
import { ROUTES, WAYPOINT_WORLD } from '../../testing/waypoint-specs.ts';

const ROUNDS = 3_000;
test(`${ROUNDS} mutated routes`, () => {
  const chance = fuzzing(17);
  const mesh = new TestMesh();
  mesh.apply(WAYPOINT_WORLD);
  const feeds = mesh.graph.waypointFeeds;
  let sent = 0;
  let refused = 0;
  for (let i = 0; i < ROUNDS; i++) {
    for (const [kind, whole] of Object.entries(ROUTES)) {
      const spec = chance.below(20) === 0 ? JUNK[chance.below(JUNK.length)] : mutated(whole, chance);
      const object = { kind, metadata: { namespace: 'shop', name: `r${i % 5}` }, spec } as KubeObject;
      mesh.set(object);
    }
    mesh.scheduler.flush();
    for (const feed of feeds)
      for (const { resource } of feed.entries()) {
        const read = decodeWaypointResource(feed.kind, resource.value);
        sent += 1;
        if ('rules' in read && 'unreadable' in read && read.unreadable !== '') {
          refused += 1;
          expect(read.rules).toEqual([]);
        }
      }
  }
  expect(mesh.errors).toEqual([]);
  // Both were there in plenty.
  expect(sent).toBeGreaterThan(ROUNDS);
  expect(refused).toBeGreaterThan(ROUNDS / 50);
});
