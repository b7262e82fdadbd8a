/** A fault of the waypoint's own, in the middle of a request: it ends that request, and says so. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { HttpError } from '@ambit/http/errors';
import type { ResponseHead, ServerExchange } from '@ambit/http/exchange';
import { ResourceStore } from '../resources/store.ts';
import { contextWith, exchangeOf } from '../testing/exchange.ts';
import { Admission } from './admission.ts';
import type { ExchangeContext } from './context.ts';
import type { Downstream } from './downstream.ts';
import { ProxiedRequest } from './proxied-request.ts';

function exchangeThat(respond: (head: ResponseHead) => void) {
  const events: string[] = [];
  const exchange = exchangeOf({ method: 'GET', endsHere: true }, events, {
    respond: (head) => {
      respond(head);
      events.push(`respond ${head.status}`);
    },
    end: () => events.push('end'),
  });
  return { exchange, events };
}

function contextOf(reporter: Partial<ExchangeContext['reporter']>, admission: Admission): ExchangeContext {
  const store = new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' });
  return contextWith(store, {
    reporter: { begin: () => ({ fields: [] }), ended: () => undefined, ...reporter },
    admission,
  });
}

const DOWNSTREAM = {
  destination: { kind: 'service', service: { key: 'shop/web' }, port: 80 },
  connection: {},
} as unknown as Downstream;

test('while it is decided upon', () => {
  const admission = new Admission(10, 10);
  const { exchange, events } = exchangeThat(() => undefined);
  const context = contextOf(
    {
      begin: () => {
        throw new TypeError('x is undefined');
      },
    },
    admission,
  );
  new ProxiedRequest(context, DOWNSTREAM, exchange).start();
  expect(events).toEqual(['respond 500']);
  expect(admission.requests).toBe(0);
});

test('while it is answered: once more, without what may be wrong', () => {
  const admission = new Admission(10, 10);
  const { exchange, events } = exchangeThat(({ status }) => {
    if (status !== 500) throw new HttpError('protocol', 'illegal-outgoing-field');
  });
  new ProxiedRequest(contextOf({}, admission), DOWNSTREAM, exchange).start();
  expect(events).toEqual(['respond 500']);
  expect(admission.requests).toBe(0);
});

test('and where nothing can be answered, the client is told by an end', () => {
  const admission = new Admission(10, 10);
  const { exchange, events } = exchangeThat(() => {
    throw new HttpError('protocol', 'illegal-outgoing-field');
  });
  new ProxiedRequest(contextOf({}, admission), DOWNSTREAM, exchange).start();
  expect(events).toEqual(['abort']);
  expect(admission.requests).toBe(0);
});

describe('while bytes are moved', () => {
  const fault = new TypeError('x is undefined');
  const cases: readonly (readonly [string, (request: ProxiedRequest) => void])[] = [
    ['of the request', (request) => request.onData(Buffer.from('a'))],
    ['of the answer', (request) => request.onResponseData(Buffer.from('a'))],
    ['at the end of the answer', (request) => request.onResponseEnd(undefined)],
    ['when there is room again', (request) => request.onWritable()],
    ['while it is looked at', (request) => request.onDeadline()],
  ];
  test.each(cases)('%s', (_, event) => {
    const told: unknown[] = [];
    const admission = new Admission(10, 10);
    let isBroken = false;
    const breaks = () => {
      if (isBroken) throw fault;
    };
    const events: string[] = [];
    const exchange = exchangeOf({ method: 'POST' }, events, { end: breaks });
    const context = contextWith(new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' }), {
      admission,
      faults: { tell: (_what: string, error: unknown) => told.push(error) },
      snapshot: () => ({
        complete: true,
        settings: { pathNormalization: 'NONE' },
        servicePort: () => ({ authentication: [{}], http: undefined }),
      }),
      security: { authenticate: () => new Promise<never>(() => undefined) },
      deadlines: {
        get nowMs() {
          breaks();
          return 0;
        },
        watch: () => undefined,
        unwatch: () => undefined,
      },
    });
    const request = new ProxiedRequest(context, DOWNSTREAM, exchange).start();
    isBroken = true;
    event(request);
    expect(told).toEqual([fault]);
    expect(events).toEqual(['respond 500']);
    expect(admission.requests).toBe(0);
  });
});

describe('in a question about a request, and then in its refusal: nobody hears of it but the log', () => {
  const refused = new Error('no answer');
  const fault = new TypeError('x is undefined');
  const breaks = () => {
    throw fault;
  };
  const NO_POLICIES = { deny: [], allow: [], audit: [], custom: [], dryRun: [] };
  const cases: Record<string, { over: Partial<ServerExchange>; ended?: () => void; want: string[] }> = {
    'the answer cannot be begun': { over: { respond: breaks }, want: ['abort'] },
    'nor broken off': { over: { respond: breaks, abort: breaks }, want: [] },
    'its record cannot be made': { over: {}, ended: breaks, want: ['respond 500'] },
    'nothing of all that': { over: { respond: breaks, abort: breaks }, ended: breaks, want: [] },
  };
  test.each(Object.entries(cases))('%s', async (_, { over, ended = () => undefined, want }) => {
    const told: unknown[] = [];
    const events: string[] = [];
    const admission = new Admission(10, 10);
    const context = contextWith(new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' }), {
      admission,
      faults: { tell: (_what: string, error: unknown) => told.push(error) },
      reporter: { begin: () => ({ fields: [] }), ended },
      snapshot: () => ({
        complete: true,
        settings: { pathNormalization: 'NONE' },
        servicePort: () => ({ authentication: [{}], authorization: NO_POLICIES, http: undefined }),
      }),
      security: { authenticate: () => Promise.reject(refused) },
    });
    new ProxiedRequest(
      context,
      DOWNSTREAM,
      exchangeOf({ method: 'GET', endsHere: true }, events, over),
    ).start();
    // A rejection that nobody handles, which would end the waypoint, fails this test.
    await setImmediate();
    expect(events).toEqual(want);
    expect(told[0]).toBe(refused);
    expect(told.slice(1)).not.toHaveLength(0);
    expect(admission.requests).toBe(0);
  });
});
