/** Policies that nobody should have stored: what is attached to a waypoint is always there, and readable or refusing. */
import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { TestMesh } from '../../testing/mesh-from-yaml.ts';
import { JUNK, mutated } from '../../testing/mutate.ts';
import { POLICIES, WAYPOINT_WORLD } from '../../testing/waypoint-specs.ts';

const ROUNDS = 3_000;
test(`${ROUNDS} mutated policies with targets`, () => {
  const chance = fuzzing(23);
  const mesh = new TestMesh();
  mesh.apply(WAYPOINT_WORLD);
  const count = { readable: 0, unreadable: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    for (const [kind, body] of Object.entries(POLICIES)) {
      const parts =
        chance.below(20) === 0
          ? { rules: JUNK[chance.below(JUNK.length)] }
          : (mutated(body, chance) as object);
      const spec = { ...parts, targetRef: { kind: 'Service', name: 'cart' } };
      mesh.set({ kind, metadata: { namespace: 'shop', name: 'p' }, spec } as KubeObject);
    }
    mesh.scheduler.flush();
    for (const kind of ['AuthorizationPolicy', 'RequestAuthentication'] as const) {
      const feed = mesh.graph.waypointFeeds.find((each) => each.kind === kind);
      const sent = feed?.get('shop/p');
      const { unreadable, targets } = decodeWaypointResource(kind, sent?.value ?? Buffer.from([0xff]));
      expect(targets).toHaveLength(1);
      count[unreadable === '' ? 'readable' : 'unreadable'] += 1;
    }
  }
  expect(mesh.errors).toEqual([]);
  expect(Math.min(count.readable, count.unreadable)).toBeGreaterThan(ROUNDS / 20);
});
