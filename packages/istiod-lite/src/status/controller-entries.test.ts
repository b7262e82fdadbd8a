import { describe, expect, test } from '@jest/globals';
import type { PolicyAncestorStatus } from '@ambit/kube/resources/backend-tls';
import type { RouteParentStatus } from '@ambit/kube/resources/routes';
import { WAYPOINTS_TAKE_NONE } from '../translate/routes/parents.ts';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { ANCESTORS, entriesToWrite, PARENTS } from './controller-entries.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const NOW = '2026-01-02T03:04:05Z';
const EARLIER = '2025-01-01T00:00:00Z';
const US = 'istio.io/gateway-controller';
const cart = { group: '', kind: 'Service', name: 'cart' };
const wanted = (message = 'm', parentRef: WantedParent['parentRef'] = cart): WantedParent => ({
  parentRef,
  conditions: [{ type: 'Accepted', isTrue: true, reason: 'Accepted', message, observedGeneration: 2 }],
});
const entry = (over: Partial<RouteParentStatus> = {}, since = EARLIER): RouteParentStatus => ({
  parentRef: cart,
  controllerName: US,
  conditions: [
    {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'm',
      observedGeneration: 2,
      lastTransitionTime: since,
    },
  ],
  ...over,
});
const theirs = entry({ controllerName: 'example.com/ingress' });

describe('entriesToWrite', () => {
  const cases: Record<
    string,
    {
      current?: readonly RouteParentStatus[];
      wanted: readonly WantedParent[];
      want: readonly RouteParentStatus[] | undefined;
    }
  > = {
    'no status yet': { wanted: [wanted()], want: [entry({}, NOW)] },
    'as it should be': { current: [entry()], wanted: [wanted()], want: undefined },
    'nothing there and nothing wanted': { wanted: [], want: undefined },
    "others' parents alone do not matter": { current: [theirs], wanted: [], want: undefined },
    'beside what others say of the same parent': {
      current: [theirs],
      wanted: [wanted()],
      want: [theirs, entry({}, NOW)],
    },
    'other words: since when stays': {
      current: [
        entry({ conditions: [{ type: 'Accepted', status: 'True', lastTransitionTime: EARLIER }] }),
        theirs,
      ],
      wanted: [wanted()],
      want: [theirs, entry()],
    },
    'a parent more, and since when of each': {
      current: [entry()],
      wanted: [wanted(), wanted('m', { ...cart, port: 80 })],
      want: [entry(), entry({ parentRef: { ...cart, port: 80 } }, NOW)],
    },
    'a parent less': {
      current: [entry(), entry({ parentRef: { ...cart, port: 80 } })],
      wanted: [wanted()],
      want: [entry()],
    },
    'no parent is ours any more': { current: [entry(), theirs], wanted: [], want: [theirs] },
    'a condition that nobody wants goes': {
      current: [entry({ conditions: [...(entry().conditions ?? []), { type: 'Old', status: 'True' }] })],
      wanted: [wanted()],
      want: [entry()],
    },
  };
  test('what somebody else of our name says of a Gateway that is not ours stays, until it is no parent', () => {
    const ingress = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'ingress' };
    const route = (parentRefs: readonly object[]) =>
      ({
        metadata: { name: 'r' },
        spec: { parentRefs },
        status: { parents: [entry({ parentRef: ingress }), entry()] },
      }) as never;
    const write = (parentRefs: readonly object[], all: readonly WantedParent[]) =>
      entriesToWrite(PARENTS, route(parentRefs), US, all, NOW_MS);
    expect(write([ingress, cart], [wanted()])).toBeUndefined();
    expect(write([ingress], [])).toEqual([entry({ parentRef: ingress })]);
    expect(write([cart], [wanted()])).toEqual([entry()]);
  });

  test('what we said of a Gateway as a waypoint goes when it is none any more', () => {
    const parentRef = { name: 'w' };
    const conditions = [
      {
        type: 'Accepted',
        status: 'False',
        reason: 'NotAllowedByListeners',
        message: `Gateway shop/w ${WAYPOINTS_TAKE_NONE}; attach the route to a Service behind it`,
      },
    ];
    const route = {
      metadata: { name: 'r' },
      spec: { parentRefs: [parentRef] },
      status: { parents: [entry({ parentRef, conditions })] },
    };
    expect(entriesToWrite(PARENTS, route as never, US, [], NOW_MS)).toEqual([]);
  });

  test.each(Object.entries(cases))('%s', (_, { current, wanted: all, want }) => {
    const route = { ...(current && { status: { parents: current } }) };
    expect(entriesToWrite(PARENTS, { metadata: { name: 'r' }, ...route }, US, all, NOW_MS)).toEqual(want);
  });

  test('of more than fit beside those of others, the first', () => {
    const others = Array.from({ length: 15 }, (_, i) => ({
      ancestorRef: { ...cart, name: `s${i}` },
      controllerName: 'example.com/ingress',
    }));
    const all = [wanted(), wanted('m', { ...cart, name: 'other' })];
    const policy = (ancestors: readonly PolicyAncestorStatus[]) => ({
      metadata: { name: 'p' },
      status: { ancestors },
    });
    const { parentRef: ancestorRef, ...rest } = entry({}, NOW);
    const want = [...others, { ancestorRef, ...rest }];
    expect(entriesToWrite(ANCESTORS, policy(others), US, all, NOW_MS)).toEqual(want);
    expect(entriesToWrite(ANCESTORS, policy(want), US, all, NOW_MS)).toBeUndefined();
  });
});
