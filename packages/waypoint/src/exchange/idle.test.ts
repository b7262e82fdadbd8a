/** Whose turn it is when nothing moves: a client that owes its request or reads no answer is let go, one that waits is not. */
import { describe, expect, test } from '@jest/globals';
import {
  createWaypointResource,
  encodeWaypointResource,
  MESH_SETTINGS_NAME,
  WAYPOINT_RESOURCE_KINDS,
} from '@ambit/api/waypoint';
import { DEADLINE_TICK_MS, Deadlines } from '@ambit/http/deadlines';
import type {
  ClientExchange,
  HttpClientConnection,
  ResponseReceiver,
  RequestHead,
} from '@ambit/http/exchange';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { CLIENT_READ_IDLE_MS, REQUEST_BODY_IDLE_MS } from '../limits.ts';
import { ResourceStore } from '../resources/store.ts';
import type { RequestRecord } from '../telemetry/record.ts';
import { clusterOf, contextWith, exchangeOf } from '../testing/exchange.ts';
import type { Downstream } from './downstream.ts';
import { ProxiedRequest } from './proxied-request.ts';

const STREAM_IDLE_MS = 3_600_000;

interface Setup {
  readonly head?: Partial<RequestHead>;
  readonly streamIdleMs?: number;
  /** The endpoint takes no more of the body than it was sent first. */
  readonly isEndpointStalled?: boolean;
}

/** A POST whose body has begun, at an endpoint that has it and does not answer. */
function setup({ head = {}, streamIdleMs = STREAM_IDLE_MS, isEndpointStalled = false }: Setup = {}) {
  const store = new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' });
  for (const type of WAYPOINT_RESOURCE_KINDS) store.apply(type, [], []);
  const bytes = encodeWaypointResource('MeshSettings', createWaypointResource('MeshSettings', {}));
  store.apply('MeshSettings', [{ name: MESH_SETTINGS_NAME, bytes }], []);
  const clock = new FakeClock();
  const events: string[] = [];
  const records: RequestRecord[] = [];
  const client = { reads: true };
  let receiver: ResponseReceiver | undefined;
  const upstream = {
    write: () => !isEndpointStalled,
    end: () => undefined,
    abort: () => undefined,
    credit: () => undefined,
  } as unknown as ClientExchange;
  const connection = {
    completedExchanges: 0,
    request: (_: unknown, to: ResponseReceiver) => {
      receiver = to;
      return upstream;
    },
  } as unknown as HttpClientConnection;
  const cluster = clusterOf(store.destination('shop/web', 80, ''), (waiter) =>
    waiter.onConnection(connection),
  );
  const exchange = exchangeOf({ version: '2', ...head }, events, { write: () => client.reads });
  const context = contextWith(store, {
    reporter: { begin: () => ({ fields: [] }), ended: (record: RequestRecord) => records.push(record) },
    upstreams: { workload: () => cluster },
    clock,
    deadlines: new Deadlines(clock),
    retryBodyBytes: 65_536,
    streamIdleMs,
  });
  const downstream = {
    destination: { kind: 'workload', port: 80, address: { ip: '10.0.0.1', port: 80 } },
    connection: { identity: undefined, sourceIp: '10.0.0.9' },
  } as unknown as Downstream;
  const request = new ProxiedRequest(context, downstream, exchange).start();
  request.onData(Buffer.from('the beginning'));
  /** The endpoint begins its answer, which the client reads or not. */
  const answer = () => {
    receiver?.onResponse({ status: 200, fields: [] }, false);
    goOn();
  };
  const goOn = () => receiver?.onData(Buffer.from('an answer'));
  /** Until nothing more would happen by then, though deadlines are coarse. */
  const passes = async (ms: number) => await clock.advance(ms + 2 * DEADLINE_TICK_MS);
  return {
    request,
    client,
    passes,
    answer,
    goOn,
    events,
    /** Status, flags and details of what was told. */
    told: () => records.map(({ status, flags, details }) => `${status} ${flags} ${details}`),
  };
}

describe('a client that owes the rest of its request', () => {
  test('is answered 408 when it has sent nothing for a while', async () => {
    const { passes, events, told } = setup();
    await passes(REQUEST_BODY_IDLE_MS - 4 * DEADLINE_TICK_MS);
    expect(events).toEqual([]);
    await passes(4 * DEADLINE_TICK_MS);
    expect([events, told()]).toEqual([['respond 408'], ['408 SI request_body_idle_timeout']]);
  });

  test('is given the time anew with each piece of it', async () => {
    const { request, passes, events } = setup();
    for (let i = 0; i < 5; i++) {
      await passes(REQUEST_BODY_IDLE_MS / 2);
      request.onData(Buffer.from('more'));
    }
    expect(events).toEqual([]);
    await passes(REQUEST_BODY_IDLE_MS);
    expect(events).toEqual(['respond 408']);
  });

  test('may be silent for as long as a stream may, if it speaks gRPC', async () => {
    const fields = ['content-type', 'application/grpc'];
    const { passes, events, told } = setup({ head: { fields } });
    await passes(STREAM_IDLE_MS - 2 * REQUEST_BODY_IDLE_MS);
    expect(events).toEqual([]);
    await passes(2 * REQUEST_BODY_IDLE_MS);
    expect([events, told()]).toEqual([['respond 200'], ['200 SI stream_idle_timeout']]);
  });

  test('is not blamed once its answer has begun', async () => {
    const { passes, answer, events } = setup();
    answer();
    await passes(STREAM_IDLE_MS - 2 * REQUEST_BODY_IDLE_MS);
    expect(events).toEqual(['respond 200']);
  });
});

describe('a client that is owed something', () => {
  test('is not blamed for an endpoint that takes no more of its request', async () => {
    const { passes, events } = setup({ isEndpointStalled: true });
    await passes(STREAM_IDLE_MS - 2 * REQUEST_BODY_IDLE_MS);
    expect(events).toEqual([]);
  });

  test('waits for its answer until the stream has been idle for too long', async () => {
    const { request, passes, events, told } = setup();
    request.onEnd(undefined);
    await passes(STREAM_IDLE_MS - 2 * REQUEST_BODY_IDLE_MS);
    expect(events).toEqual([]);
    await passes(2 * REQUEST_BODY_IDLE_MS);
    expect([events, told()]).toEqual([['respond 504'], ['504 SI stream_idle_timeout']]);
  });

  test('waits for ever where streams may be idle for ever', async () => {
    const { request, passes, events } = setup({ streamIdleMs: 0 });
    request.onEnd(undefined);
    await passes(2 * STREAM_IDLE_MS);
    expect(events).toEqual([]);
  });
});

describe('a client that does not read its answer', () => {
  test('is cut off after a while, sooner than a stream that is idle', async () => {
    const { request, client, passes, answer, events, told } = setup();
    request.onEnd(undefined);
    client.reads = false;
    answer();
    await passes(CLIENT_READ_IDLE_MS - REQUEST_BODY_IDLE_MS - 4 * DEADLINE_TICK_MS);
    expect(events).toEqual(['respond 200']);
    await passes(2 * REQUEST_BODY_IDLE_MS);
    expect([events, told()]).toEqual([['respond 200', 'abort'], ['200 SI stream_idle_timeout']]);
  });

  test('is given the time anew whenever it reads', async () => {
    const { request, client, passes, answer, goOn, events } = setup();
    request.onEnd(undefined);
    client.reads = false;
    answer();
    for (let i = 0; i < 5; i++) {
      await passes(CLIENT_READ_IDLE_MS / 2);
      request.onWritable();
      goOn();
    }
    expect(events).toEqual(['respond 200']);
    await passes(CLIENT_READ_IDLE_MS + REQUEST_BODY_IDLE_MS);
    expect(events).toEqual(['respond 200', 'abort']);
  });

  test('and the time of an idle stream runs from when it last read', async () => {
    const { request, client, passes, answer, events } = setup();
    request.onEnd(undefined);
    client.reads = false;
    answer();
    await passes(CLIENT_READ_IDLE_MS / 2);
    request.onWritable();
    await passes(STREAM_IDLE_MS - CLIENT_READ_IDLE_MS / 4);
    expect(events).toEqual(['respond 200']);
    await passes(CLIENT_READ_IDLE_MS / 4);
    expect(events).toEqual(['respond 200', 'abort']);
  });

  test('and one that has read all that came waits for the rest', async () => {
    const { request, passes, answer, events } = setup();
    request.onEnd(undefined);
    answer();
    await passes(2 * CLIENT_READ_IDLE_MS);
    expect(events).toEqual(['respond 200']);
  });
});
