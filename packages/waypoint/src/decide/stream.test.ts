import { describe, expect, test } from '@jest/globals';
import {
  createWaypointResource,
  encodeWaypointResource,
  type StreamRoute,
  type WaypointFields,
} from '@ambit/api/waypoint';
import { decodeResource } from '../resources/decode/decode.ts';
import { decideStream, type StreamView } from './stream.ts';

const SERVICE = 'shop/cart.shop.svc.cluster.local';
const service = { namespace: 'shop', hostname: 'cart.shop.svc.cluster.local' };

type Rules = NonNullable<WaypointFields<StreamRoute>['rules']>;

/** Through the bytes, as it comes in life. */
function route(kind: string, rules: Rules, more: WaypointFields<StreamRoute> = {}) {
  const origin = { kind, namespace: 'shop', name: 'r', createdMs: 1n };
  const message = createWaypointResource('StreamRoute', { origin, parents: [service], rules, ...more });
  const decoded = decodeResource(
    'StreamRoute',
    `${kind}/shop/r`,
    encodeWaypointResource('StreamRoute', message),
    undefined,
  );
  if (decoded.kind === 'problem') throw new Error(decoded.problem);
  return decoded.value;
}
const to = (port: number) => [
  { target: { $case: 'service' as const, value: { ...service, port } }, weight: 1 },
];
const CLEAR: StreamView = { isTls: false, sni: undefined, sourceNamespace: 'web' };

describe('where a connection goes', () => {
  const cases: Record<
    string,
    { routes: ReturnType<typeof route>[]; view?: Partial<StreamView>; want: number | string }
  > = {
    'no route: the service itself': { routes: [], want: 9_090 },
    'the first rule that matches': {
      routes: [route('TCPRoute', [{ backends: to(1) }, { backends: to(2) }])],
      want: 1,
    },
    'a backend without a port: the one that was asked for': {
      routes: [route('VirtualService', [{ backends: to(0) }])],
      want: 9_090,
    },
    'a rule for clients of another namespace': {
      routes: [route('VirtualService', [{ sourceNamespace: 'pay', backends: to(1) }, { backends: to(2) }])],
      want: 2,
    },
    'a rule for clients of this namespace': {
      routes: [route('VirtualService', [{ sourceNamespace: 'web', backends: to(1) }, { backends: to(2) }])],
      want: 1,
    },
    'a rule for a namespace, and a client without one': {
      routes: [route('VirtualService', [{ sourceNamespace: 'web', backends: to(1) }])],
      view: { sourceNamespace: undefined },
      want: 9_090,
    },
    'TLS by its name': {
      routes: [route('TLSRoute', [{ tls: true, sniHosts: ['*.example.com'], backends: to(1) }])],
      view: { isTls: true, sni: 'A.example.com' },
      want: 1,
    },
    'TLS by no name that is there': {
      routes: [route('TLSRoute', [{ tls: true, sniHosts: ['*.example.com'], backends: to(1) }])],
      view: { isTls: true, sni: 'example.org' },
      want: 'no-route',
    },
    "a consumer's route, for its namespace": {
      routes: [
        route('TCPRoute', [{ backends: to(1) }]),
        route('TCPRoute', [{ backends: to(2) }], { consumerNamespace: 'web' }),
      ],
      want: 2,
    },
    'a rule without backends closes': { routes: [route('TCPRoute', [{}])], want: 'no-backend' },
    'what cannot be read closes': {
      routes: [route('TCPRoute', [], { unreadable: 'x' })],
      want: 'unreadable',
    },
  };
  test.each(Object.entries(cases))('%s', (_, { routes, view, want }) => {
    const decision = decideStream(routes, SERVICE, 9_090, { ...CLEAR, ...view }, () => 0);
    expect(decision.kind === 'forward' ? decision.backend.to.port : decision.reason).toBe(want);
  });
});
