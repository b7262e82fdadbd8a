/** From when the time of a request runs: what was asked before it was sent counts, or what the client takes to send it does not. */
import { expect, test } from '@jest/globals';
import {
  createWaypointResource,
  encodeWaypointResource,
  MESH_SETTINGS_NAME,
  WAYPOINT_RESOURCE_KINDS,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import type { RequestHead } from '@ambit/http/exchange';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { ResourceStore } from '../resources/store.ts';
import type { Authentication } from '../security/authenticate.ts';
import { clusterOf, contextWith, exchangeOf } from '../testing/exchange.ts';
import type { Downstream } from './downstream.ts';
import { ProxiedRequest } from './proxied-request.ts';

const HOSTNAME = 'web.shop.svc.cluster.local';
const WEB = { namespace: 'shop', hostname: HOSTNAME, port: 80 };

function storeWith(kind: 'HTTPRoute' | 'VirtualService'): ResourceStore {
  const store = new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' });
  const put = <K extends WaypointResourceKind>(
    type: K,
    name: string,
    fields: WaypointFields<WaypointResources[K]>,
  ) => {
    const bytes = encodeWaypointResource(type, createWaypointResource(type, fields));
    expect(store.apply(type, [{ name, bytes }], [])).toEqual([]);
  };
  for (const type of WAYPOINT_RESOURCE_KINDS) store.apply(type, [], []);
  put('MeshSettings', MESH_SETTINGS_NAME, { rootNamespace: 'istio-system' });
  const origin = { kind, namespace: 'shop', name: 'r', createdMs: 1n };
  put('HttpRoute', `${kind}/shop/r`, {
    origin,
    parents: [WEB],
    inOrder: kind === 'VirtualService',
    rules: [{ backends: [{ target: { $case: 'service', value: WEB }, weight: 1 }], requestTimeoutMs: 1_000 }],
  });
  put('RequestAuthentication', 'shop/r', {
    origin: { ...origin, kind: 'RequestAuthentication' },
    targets: [{ kind: { $case: 'gateway', value: 'shop/waypoint' } }],
    rules: [{ issuer: 'i' }],
  });
  return store;
}

/** A request whose token takes as long as the test likes, to an endpoint that never answers. */
function setup(kind: 'HTTPRoute' | 'VirtualService', head: Partial<RequestHead> = {}) {
  const store = storeWith(kind);
  const clock = new FakeClock();
  const events: string[] = [];
  const token = Promise.withResolvers<Authentication>();
  const exchange = exchangeOf(head, events);
  const cluster = clusterOf(store.destination(`shop/${HOSTNAME}`, 80, ''), () => events.push('sent'));
  const context = contextWith(store, {
    security: { authenticate: () => token.promise },
    upstreams: { clusterFor: () => cluster },
    clock,
  });
  const downstream = {
    destination: {
      kind: 'service',
      service: { key: `shop/${HOSTNAME}` },
      port: 80,
      address: { ip: '', port: 80 },
    },
    connection: { identity: undefined, sourceIp: '10.0.0.9' },
  } as unknown as Downstream;
  const request = new ProxiedRequest(context, downstream, exchange).start();
  const believe = async () => {
    token.resolve({ kind: 'ok', token: undefined, changes: { remove: [], set: [], vouched: [] } });
    await clock.advance(0);
  };
  return { request, clock, events, believe };
}

test('a Gateway API route: from the first byte on, whatever is asked and however slowly the client sends', async () => {
  const { clock, events, believe } = setup('HTTPRoute');
  await clock.advance(600);
  await believe();
  expect(events).toEqual(['sent']);
  await clock.advance(399);
  expect(events).toEqual(['sent']);
  await clock.advance(1);
  expect(events).toEqual(['sent', 'respond 504']);
});

test('a Gateway API route: nothing is sent when the time is over before', async () => {
  const { clock, events, believe } = setup('HTTPRoute');
  await clock.advance(1_000);
  await believe();
  expect(events).toEqual(['respond 504']);
});

test('a Gateway API route: one whose question hangs is ended when its time is over', async () => {
  const { clock, events, believe } = setup('HTTPRoute');
  await clock.advance(999);
  expect(events).toEqual([]);
  await clock.advance(1);
  expect(events).toEqual(['respond 504']);
  await believe();
  expect(events).toEqual(['respond 504']);
});

test('a VirtualService: not while it is asked about, unless its client gave it a time', async () => {
  const { clock, events } = setup('VirtualService', { endsHere: true });
  await clock.advance(5_000);
  expect(events).toEqual([]);
  const fields = ['content-type', 'application/grpc', 'grpc-timeout', '500m'];
  const limited = setup('VirtualService', { version: '2', fields });
  await limited.clock.advance(500);
  expect(limited.events).toEqual(['respond 200']);
});

test('a VirtualService: once all of the request is here', async () => {
  const { request, clock, events, believe } = setup('VirtualService');
  await believe();
  await clock.advance(5_000);
  expect(events).toEqual(['sent']);
  request.onEnd(undefined);
  await clock.advance(999);
  expect(events).toEqual(['sent']);
  await clock.advance(1);
  expect(events).toEqual(['sent', 'respond 504']);
});

test('a VirtualService: and once it was let through', async () => {
  const { clock, events, believe } = setup('VirtualService', { endsHere: true });
  await clock.advance(5_000);
  await believe();
  await clock.advance(999);
  expect(events).toEqual(['sent']);
  await clock.advance(1);
  expect(events).toEqual(['sent', 'respond 504']);
});

test('what a gRPC client gives it: from the first byte on', async () => {
  const fields = ['content-type', 'application/grpc', 'grpc-timeout', '500m'];
  const { request, clock, events, believe } = setup('VirtualService', { version: '2', fields });
  await clock.advance(400);
  await believe();
  request.onEnd(undefined);
  await clock.advance(99);
  expect(events).toEqual(['sent']);
  await clock.advance(1);
  expect(events).toEqual(['sent', 'respond 200']);
});
