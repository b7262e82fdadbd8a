/**
 * The control plane and the waypoint, both ends of ambit.waypoint.v1: what the one lets in and sends, the other can read.
 *
 * A resource that a waypoint refuses to read is safe, as it then refuses requests; but nobody would be told at admission,
 * nor by a status.
 */
import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { TestMesh } from '@ambit/istiod-lite/testing/mesh-from-yaml';
import { JUNK, mutated } from '@ambit/istiod-lite/testing/mutate';
import {
  BACKEND_TLS_POLICY,
  DESTINATION_RULE,
  POLICIES,
  ROUTES,
  TELEMETRY,
  VIRTUAL_SERVICE,
  WAYPOINT_WORLD,
} from '@ambit/istiod-lite/testing/waypoint-specs';
import type { KubeObject } from '@ambit/kube/resource';
import { decodeResource } from '@ambit/waypoint/resources/decode/decode';

const ROUNDS = 3_000;
/** Texts and numbers that schemas let through and a waypoint might not. */
const PLAUSIBLE: readonly unknown[] = [
  ...JUNK,
  'a b',
  'a:b',
  '(',
  '(a*)*b',
  'é',
  '\u0000',
  'a\r\nb',
  '0s',
  '1ms',
  '999999h',
  '{*}',
  '/{**}/{*}',
  '%PREFIX()%',
  'GATEWAY',
  '*.example.com',
  'A.Example.com',
  1,
  99,
  100,
  101,
  418,
  1_000_000_000,
];
const target = { targetRef: { kind: 'Service', name: 'cart' } };

test(`${ROUNDS} rounds of objects that a user might write: a waypoint can read all that comes of them`, () => {
  const chance = fuzzing(41);
  const mesh = new TestMesh();
  mesh.apply(WAYPOINT_WORLD);
  const set = (kind: string, whole: object, fixed: object) => {
    const spec = { ...(mutated(whole, chance, PLAUSIBLE) as object), ...fixed };
    mesh.set({ kind, metadata: { namespace: 'shop', name: `o${chance.below(3)}` }, spec } as KubeObject);
  };
  const problems = new Set<string>();
  let read = 0;
  for (let i = 0; i < ROUNDS; i++) {
    for (const [kind, whole] of Object.entries(ROUTES)) set(kind, whole, {});
    for (const [kind, whole] of Object.entries(POLICIES)) set(kind, whole, target);
    set('VirtualService', VIRTUAL_SERVICE, { hosts: ['cart'] });
    set('DestinationRule', DESTINATION_RULE, { host: 'cart' });
    set('Telemetry', TELEMETRY, {});
    set('BackendTLSPolicy', BACKEND_TLS_POLICY, {});
    mesh.scheduler.flush();
    for (const { kind, ...feed } of mesh.graph.waypointFeeds.map((each) => ({
      kind: each.kind,
      all: [...each.all()],
    })))
      for (const { name, value } of feed.all) {
        const decoded = decodeResource(kind, name, value, undefined);
        read += 1;
        if (decoded.kind === 'problem') problems.add(`${kind} ${name}: ${decoded.problem}`);
        else if ('rules' in decoded.value)
          for (const rule of decoded.value.rules)
            if ('unreadable' in rule && rule.unreadable !== undefined && !SAID.test(rule.unreadable))
              problems.add(`${kind} ${name}: ${rule.unreadable}`);
      }
  }
  expect([...problems].slice(0, 20)).toEqual([]);
  expect(read).toBeGreaterThan(ROUNDS);
});

/** What the control plane itself says of a rule, which the status repeats. */
const SAID = /^(rules\[|delegate )/;
