import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  createDeltaRequest,
  createDeltaResponse,
  createResource,
  decodeDeltaResponse,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DELTA_ADS_PATH,
  encodeDeltaRequest,
  encodeDeltaResponse,
} from '@ambit/api/discovery';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { freePort } from '@ambit/core/testing/free-port';
import { until } from '@ambit/core/watch';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { DeltaXdsClient, type DeltaXdsClientOptions } from './client.ts';
import { type Rejection, type ResourceDelta, type TypeHandler, TypeState } from './client/type-state.ts';
import { bufferOf, DELTA_SERVICE } from './grpc.ts';
import { CONNECT_TIMEOUT_MS } from './limits.ts';
import type { ClientNode } from './resource-feed.ts';
import { DeltaXdsServer, type DeltaXdsServerOptions, XDS_SERVER_OPTIONS } from './server.ts';
import { MemoryFeed } from './testing/memory-feed.ts';

const ADDRESS = 'type.googleapis.com/istio.workload.Address';
const POLICY = 'type.googleapis.com/istio.security.Authorization';
const NODE = { id: 'ztunnel~10.0.0.1~z.ns~ns.svc.cluster.local', cluster: '', metadata: { NODE_NAME: 'n1' } };

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const soon = (condition: () => boolean) => async () => {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 5_000; turn += 1) {
    if (condition()) return;
    await systemClock.sleep(5);
  }
  throw new Error(`never: ${condition.toString()}`);
};
const eventually = (condition: () => boolean) => soon(condition)();

async function serve(feeds: readonly MemoryFeed[], over: Partial<DeltaXdsServerOptions> = {}, port = 0) {
  const xds = new DeltaXdsServer({
    feeds,
    authenticate: async () => 'somebody',
    clock: systemClock,
    log: silentLogger,
    ...over,
  });
  const server = new Server(XDS_SERVER_OPTIONS);
  xds.addTo(server);
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  const stop = () => {
    xds[Symbol.dispose]();
    server.forceShutdown();
  };
  cleanups.push(stop);
  return { xds, port: bound, stop };
}

/** Keeps what it is given; values that are `bad` are rejected. */
class Holder implements TypeHandler {
  readonly typeUrl: string;
  readonly onDemand: boolean;
  readonly held = new Map<string, string>();
  readonly deltas: { upserts: string[]; removed: string[] }[] = [];

  constructor(typeUrl: string, onDemand = false) {
    this.typeUrl = typeUrl;
    this.onDemand = onDemand;
  }

  apply({ upserts, removed }: ResourceDelta): Rejection[] {
    this.deltas.push({ upserts: upserts.map(({ name }) => name), removed: [...removed] });
    for (const name of removed) this.held.delete(name);
    const bad: Rejection[] = [];
    for (const { name, value } of upserts) {
      const text = Buffer.from(value).toString();
      if (text.startsWith('bad')) bad.push({ name, reason: 'no such thing' });
      else this.held.set(name, text);
    }
    return bad;
  }

  get last() {
    return this.deltas.at(-1);
  }
}

/** Sleeps a millisecond at most, and keeps in mind how long it was asked to. */
function hastyClock() {
  const waits: number[] = [];
  const sleep = (ms: number, signal?: AbortSignal) => {
    waits.push(ms);
    return systemClock.sleep(Math.min(ms, 1), signal);
  };
  return { clock: { ...systemClock, sleep }, waits };
}

async function connect(
  port: number,
  types: readonly TypeHandler[],
  over: Partial<DeltaXdsClientOptions> = {},
) {
  const client = new DeltaXdsClient({
    address: `127.0.0.1:${port}`,
    channel: async () => undefined,
    headers: async () => ({ authorization: 'Bearer token', clusterid: 'Kubernetes' }),
    node: NODE,
    types,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    ...over,
  });
  cleanups.push(() => client.drain());
  await client.start(AbortSignal.timeout(120_000));
  return client;
}

const synced = (client: DeltaXdsClient) =>
  until(client.synced, (value) => value, AbortSignal.timeout(120_000));

describe('both ends together', () => {
  test('everything at first, then differences; an empty type is answered too', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ a: '1', b: '2' });
    const { port } = await serve([feed, new MemoryFeed(POLICY)]);
    const addresses = new Holder(ADDRESS);
    const client = await connect(port, [addresses, new Holder(POLICY)]);
    await synced(client);
    expect(Object.fromEntries(addresses.held)).toEqual({ a: '1', b: '2' });
    feed.set({ b: '3', c: '4' });
    feed.remove('a');
    await eventually(() => addresses.held.get('c') === '4');
    expect(addresses.last).toEqual({ upserts: ['b', 'c'], removed: ['a'] });
  });

  test('nobody stands between them, whatever proxy the environment names', async () => {
    process.env['http_proxy'] = 'http://127.0.0.1:1';
    cleanups.push(() => {
      delete process.env['http_proxy'];
    });
    const { port } = await serve([new MemoryFeed(ADDRESS)]);
    await synced(await connect(port, [new Holder(ADDRESS)]));
  });

  test('a bad resource is refused by name and the others are used', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ good: '1', worse: 'bad', worst: 'bad too' });
    const refusals: string[] = [];
    const { port, xds } = await serve([feed], {
      observer: { refused: (_, message) => refusals.push(message) },
    });
    const addresses = new Holder(ADDRESS);
    await synced(await connect(port, [addresses]));
    await eventually(() => refusals.length === 1);
    expect(refusals).toEqual(['worse: no such thing; worst: no such thing']);
    expect([...addresses.held.keys()]).toEqual(['good']);
    expect(xds.clients()[0]?.types[0]?.lastRefusal).toBe(refusals[0]);
    feed.set({ worse: 'better' });
    await eventually(() => addresses.held.has('worse'));
    expect(addresses.last).toEqual({ upserts: ['worse'], removed: [] });
  });

  test('after a restart of the server only differences come, and refused resources are sent again', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ same: '1', changed: '2', gone: '3', spoilt: '4', bad: 'bad' });
    const first = await serve([feed], {}, await freePort());
    const addresses = new Holder(ADDRESS);
    const client = await connect(first.port, [addresses]);
    await synced(client);
    feed.set({ spoilt: 'bad now' });
    await eventually(() => addresses.deltas.length === 2);
    first.stop();
    await until(client.state, (state) => state !== 'connected', AbortSignal.timeout(120_000));
    expect(addresses.held.get('same')).toBe('1');
    feed.set({ changed: 'new' });
    feed.remove('gone');
    await serve([feed], {}, first.port);
    await eventually(() => addresses.held.get('changed') === 'new');
    expect(addresses.last?.upserts.toSorted()).toEqual(['bad', 'changed', 'spoilt']);
    expect(addresses.last?.removed).toEqual(['gone']);
  });

  test('on demand: a key brings its resource, a miss is an answer, waiting can be given up', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ w: '1', x: '2' }, { w: ['net/10.0.0.1'] });
    const { port } = await serve([feed, new MemoryFeed(POLICY)]);
    const addresses = new Holder(ADDRESS, true);
    const client = await connect(port, [addresses, new Holder(POLICY)]);
    await synced(client);
    const signal = AbortSignal.timeout(120_000);
    await client.demand(ADDRESS, 'net/10.0.0.1', signal);
    expect(Object.fromEntries(addresses.held)).toEqual({ w: '1' });
    await Promise.all([client.demand(ADDRESS, 'nobody', signal), client.demand(ADDRESS, 'nobody', signal)]);
    expect(addresses.last).toEqual({ upserts: [], removed: ['nobody'] });
    await expect(client.demand(ADDRESS, 'z', AbortSignal.abort(new Error('enough')))).rejects.toThrow(
      'enough',
    );
  });

  test('on demand: what was asked for while there was no connection is answered by the next', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ w: '1' });
    const first = await serve([feed], {}, await freePort());
    const addresses = new Holder(ADDRESS, true);
    const client = await connect(first.port, [addresses]);
    await until(client.state, (state) => state === 'connected', AbortSignal.timeout(120_000));
    first.stop();
    await until(client.state, (state) => state !== 'connected', AbortSignal.timeout(120_000));
    const answer = client.demand(ADDRESS, 'w', AbortSignal.timeout(120_000));
    await serve([feed], {}, first.port);
    await answer;
    expect(addresses.held.get('w')).toBe('1');
  });

  test('stopping ends the stream and all who wait', async () => {
    const { port, xds } = await serve([new MemoryFeed(ADDRESS)], {
      authenticate: (_, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('left')))),
    });
    const client = await connect(port, [new Holder(ADDRESS, true)]);
    const waiting = client.demand(ADDRESS, 'x', AbortSignal.timeout(120_000));
    const outcome = expect(waiting).rejects.toThrow('shutting down');
    await client.drain();
    await outcome;
    expect(xds.clients()).toEqual([]);
  });

  test('what was refused or not taken away is asked for again, whatever its name', () => {
    const longName = 'x'.repeat(1_000);
    const state = new TypeState({
      typeUrl: ADDRESS,
      apply: ({ removed }) => {
        if (removed.length > 0) throw new Error('no');
        return [];
      },
    });
    const response = (over: Partial<DeltaDiscoveryResponse>) =>
      state.receive(createDeltaResponse({ typeUrl: ADDRESS, ...over }));
    const resource = { typeUrl: ADDRESS, value: Buffer.from('1') };
    response({
      resources: [
        createResource({ name: 'taken', version: '1', resource }),
        createResource({ name: longName, version: '1', resource: { ...resource, typeUrl: POLICY } }),
      ],
    });
    expect(response({ removedResources: ['taken'] }).rejections).toEqual([
      { name: '(removals)', reason: 'internal error: no' },
    ]);
    expect(Object.fromEntries(state.initialRequest(NODE).initialResourceVersions)).toEqual({ taken: '' });
  });

  test('a resource of another type, and one without a name, are refused', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ '': 'nameless', fine: '1' });
    const refusals: string[] = [];
    const { port } = await serve([feed], { observer: { refused: (_, message) => refusals.push(message) } });
    const addresses = new Holder(ADDRESS);
    await synced(await connect(port, [addresses]));
    await eventually(() => refusals.length === 1);
    expect(refusals[0]).toContain('a name has 1 to');
    expect([...addresses.held.keys()]).toEqual(['fine']);
  });
});

describe('authentication', () => {
  test('the token is looked at, and nothing is sent without it', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ secret: '1' });
    const seen: unknown[] = [];
    const { port } = await serve([feed], {
      authenticate: async ({ metadata }) => {
        seen.push(metadata.get('authorization')[0], metadata.get('clusterid')[0]);
        throw new Error('who?');
      },
    });
    const raw = rawStream(port);
    raw.send({ node: NODE, typeUrl: ADDRESS });
    expect((await raw.ended).code).toBe(status.UNAUTHENTICATED);
    expect(raw.received).toEqual([]);
    await connect(port, [new Holder(ADDRESS)]);
    await eventually(() => seen.length >= 4);
    expect(seen.slice(2, 4)).toEqual(['Bearer token', 'Kubernetes']);
  });

  test('an authenticated client may still be refused as the node it claims to be', async () => {
    const { port } = await serve([new MemoryFeed(ADDRESS)], {
      refuse: (identity, node) => `${identity} is not ${node.metadata['NODE_NAME']}`,
    });
    const raw = rawStream(port);
    raw.send({ node: NODE, typeUrl: ADDRESS });
    expect(await raw.ended).toMatchObject({ code: status.PERMISSION_DENIED, details: 'somebody is not n1' });
  });

  test('a first request without a node, and more clients than allowed', async () => {
    const { port } = await serve([new MemoryFeed(ADDRESS)], { maxClients: 1 });
    const raw = rawStream(port);
    raw.send({ typeUrl: ADDRESS });
    const second = rawStream(port);
    expect((await second.ended).code).toBe(status.UNAVAILABLE);
    expect((await raw.ended).code).toBe(status.INVALID_ARGUMENT);
    const third = rawStream(port);
    third.send({ node: NODE, typeUrl: ADDRESS });
    await eventually(() => third.received.length === 1);
  });
});

describe('a client that does not read', () => {
  test('gets one response later, not one for each change', async () => {
    const feed = new MemoryFeed(ADDRESS);
    const big = (n: number) => new Uint8Array(400_000).fill(n);
    feed.set({ a: big(0) });
    let pushes = 0;
    const { port } = await serve([feed], { observer: { pushed: () => (pushes += 1) } });
    const raw = rawStream(port);
    raw.stream.pause();
    raw.send({ node: NODE, typeUrl: ADDRESS });
    await eventually(() => pushes === 1);
    for (let i = 1; i <= 200; i++) {
      feed.set({ [`r${i % 10}`]: big(i) });
      await systemClock.sleep(1);
    }
    expect(pushes).toBeLessThan(20);
    raw.stream.resume();
    const newest = () =>
      raw.received
        .flatMap(({ resources }) => resources)
        .filter(({ name }) => name === 'r0')
        .at(-1);
    await eventually(() => newest()?.resource?.value[0] === 200);
    expect(raw.received.length).toBe(pushes);
  });

  test('keeps nobody else from being sent everything, or a change', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`r${i}`, new Uint8Array(100_000)])));
    let pushes = 0;
    const { port } = await serve([feed], { observer: { pushed: () => (pushes += 1) } });
    const stalled = Array.from({ length: 6 }, () => rawStream(port));
    for (const raw of stalled) {
      raw.stream.pause();
      raw.send({ node: NODE, typeUrl: ADDRESS });
    }
    await eventually(() => pushes >= 4);
    const reader = new Holder(ADDRESS);
    await synced(await connect(port, [reader]));
    feed.set({ late: new Uint8Array(1) });
    await eventually(() => reader.held.has('late'));
    expect(reader.held.size).toBe(21);
  });

  test('and one that floods with questions is slowed down, others are not', async () => {
    const feed = new MemoryFeed(ADDRESS);
    feed.set({ a: new Uint8Array(100_000) });
    let pushes = 0;
    const { port } = await serve([feed], { observer: { pushed: () => (pushes += 1) } });
    const raw = rawStream(port);
    raw.stream.pause();
    raw.send({ node: NODE, typeUrl: ADDRESS, resourceNamesSubscribe: ['a'] });
    for (let i = 0; i < 2_000; i++) raw.send({ typeUrl: ADDRESS, resourceNamesSubscribe: ['a'] });
    await synced(await connect(port, [new Holder(ADDRESS)]));
    await systemClock.sleep(50);
    expect(pushes).toBeLessThan(50);
  });
});

describe('a control plane that misbehaves', () => {
  test('is tried again, more and more slowly', async () => {
    let attempts = 0;
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      attempts += 1;
      sockets.add(socket);
      socket.on('error', () => undefined).destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => void server.close());
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const reasons: string[] = [];
    const { clock, waits } = hastyClock();
    await connect(port, [new Holder(ADDRESS)], {
      clock,
      random: () => 0.5,
      observer: { terminated: (reason) => reasons.push(reason) },
    });
    await eventually(() => attempts > 5);
    expect(waits.slice(0, 5)).toEqual([10, 20, 40, 80, 160]);
    expect(new Set(reasons)).toEqual(new Set(['ConnectionError']));
  });

  test('is tried ever more slowly too when it answers something before it fails', async () => {
    let streams = 0;
    const server = new Server(XDS_SERVER_OPTIONS);
    server.addService(DELTA_SERVICE, {
      deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>) => {
        streams += 1;
        call.resume();
        call.write(bufferOf(encodeDeltaResponse(createDeltaResponse({ typeUrl: ADDRESS, nonce: '1' }))));
        const failure = { code: status.INTERNAL, details: 'no more' };
        setTimeout(() => call.emit('error', Object.assign(new Error(), failure)), 5);
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    cleanups.push(() => server.forceShutdown());
    const addresses = new Holder(ADDRESS);
    const { clock, waits } = hastyClock();
    await connect(port, [addresses], { clock, random: () => 0.5 });
    await eventually(() => streams > 5);
    expect(addresses.deltas.length).toBeGreaterThan(3);
    expect(waits.slice(0, 5)).toEqual([10, 20, 40, 80, 160]);
  });

  test('is tried anew when no connection comes of it, as at the address of a pod that has gone', async () => {
    const sockets = new Set<Socket>();
    // Takes connections, and never begins HTTP/2.
    const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const clock = {
      ...systemClock,
      after: (ms: number, act: () => void) => systemClock.after(ms === CONNECT_TIMEOUT_MS ? 50 : ms, act),
    };
    const reasons: string[] = [];
    await connect(port, [new Holder(ADDRESS)], {
      clock,
      observer: { terminated: (reason) => reasons.push(reason) },
    });
    await eventually(() => sockets.size >= 3);
    expect(new Set(reasons)).toEqual(new Set(['ConnectionError']));
  });

  test('a token that cannot be read is a failed attempt, not the end', async () => {
    const feed = new MemoryFeed(ADDRESS);
    const { port } = await serve([feed]);
    let reads = 0;
    const client = await connect(port, [new Holder(ADDRESS)], {
      headers: async () => {
        reads += 1;
        if (reads < 3) throw new Error('no token');
        return {};
      },
    });
    await synced(client);
    expect(reads).toBe(3);
  });
});

/** A client by hand. */
function rawStream(port: number) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(
    DELTA_ADS_PATH,
    (request: DeltaDiscoveryRequest) => bufferOf(encodeDeltaRequest(request)),
    decodeDeltaResponse,
    new Metadata(),
  );
  const received: ReturnType<typeof decodeDeltaResponse>[] = [];
  stream.on('data', (response) => received.push(response));
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  cleanups.push(() => {
    stream.cancel();
    client.close();
  });
  return {
    stream,
    received,
    ended,
    send: (request: Partial<DeltaDiscoveryRequest>) => stream.write(createDeltaRequest(request)),
  };
}

describe('what clients see parts of', () => {
  /** Each audience sees the resources whose names begin with its own. */
  class PartedFeed extends MemoryFeed {
    readonly opened: string[] = [];
    readonly closed: string[] = [];
    readonly views = {
      audienceOf: ({ metadata }: ClientNode) => metadata['GATEWAY_NAME'] ?? '',
      open: (audience: string) => {
        this.opened.push(audience);
        const view = new MemoryFeed(this.typeUrl);
        const sees = (name: string) => name.startsWith(`${audience}/`);
        const show = (names: Iterable<string>) => {
          for (const name of names) view.set({ [name]: this.get(name)?.value ?? '' });
        };
        show([...this.all()].map(({ name }) => name).filter(sees));
        const followed = this.subscribe(({ changed, removed }) => {
          show(changed.filter(sees));
          view.remove(...removed.filter(sees));
        });
        return Object.assign(view, {
          [Symbol.dispose]: () => {
            followed[Symbol.dispose]();
            this.closed.push(audience);
          },
        });
      },
    };
  }
  const gateway = (name: string) => ({ node: { ...NODE, metadata: { GATEWAY_NAME: name } } });

  test('each audience hears of its own, shares a view, and leaves none behind', async () => {
    const feed = new PartedFeed(ADDRESS);
    feed.set({ 'a/1': '1', 'b/1': '1' });
    const { port, xds } = await serve([feed]);
    const holders = [new Holder(ADDRESS), new Holder(ADDRESS), new Holder(ADDRESS)] as const;
    const clients = await Promise.all(
      (['a', 'a', 'b'] as const).map((name, i) => connect(port, [holders[i] as Holder], gateway(name))),
    );
    await Promise.all(clients.map(synced));
    expect(holders.map(({ held }) => [...held.keys()])).toEqual([['a/1'], ['a/1'], ['b/1']]);
    feed.set({ 'a/2': '2' });
    feed.remove('a/1');
    feed.set({ 'b/2': '2' });
    await eventually(() =>
      holders.every(({ held }) => held.size > 0 && [...held.keys()].at(-1)?.endsWith('2') === true),
    );
    expect(holders.map(({ held }) => [...held.keys()])).toEqual([['a/2'], ['a/2'], ['b/1', 'b/2']]);
    expect(feed.opened.sort()).toEqual(['a', 'b']);
    await clients[0]?.drain();
    await eventually(() => xds.clients().length === 2);
    expect(feed.closed).toEqual([]);
    await clients[1]?.drain();
    await eventually(() => feed.closed.length === 1);
    expect(feed.closed).toEqual(['a']);
  });

  test('a client that comes back with what it held hears what is no longer for it', async () => {
    const feed = new PartedFeed(ADDRESS);
    feed.set({ 'a/1': '1', 'b/1': '1' });
    const first = await serve([feed], {}, await freePort());
    const holder = new Holder(ADDRESS);
    const client = await connect(first.port, [holder], gateway('a'));
    await synced(client);
    first.stop();
    feed.set({ 'a/2': '2' });
    feed.remove('a/1');
    await serve([feed], {}, first.port);
    await eventually(() => holder.held.has('a/2'));
    expect(holder.last).toEqual({ upserts: ['a/2'], removed: ['a/1'] });
  });
});

test('what restricts goes out first, though what it restricts was told before it', async () => {
  const addresses = new MemoryFeed(ADDRESS);
  const policies = Object.assign(new MemoryFeed(POLICY), { urgent: true });
  const { port } = await serve([addresses, policies]);
  const order: string[] = [];
  const holder = (typeUrl: string) => {
    const one = new Holder(typeUrl);
    const apply = one.apply.bind(one);
    one.apply = (delta) => {
      order.push(typeUrl);
      return apply(delta);
    };
    return one;
  };
  const client = await connect(port, [holder(ADDRESS), holder(POLICY)]);
  await synced(client);
  order.length = 0;
  // In one turn, as one write of a user may change both.
  addresses.set({ a: '1' });
  policies.set({ p: '1' });
  await eventually(() => order.length === 2);
  expect(order).toEqual([POLICY, ADDRESS]);
});

test('what restricts goes out first, also when it is much and has to wait for its turn', async () => {
  const addresses = new MemoryFeed(ADDRESS);
  addresses.set(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`r${i}`, new Uint8Array(100_000)])));
  const policies = Object.assign(new MemoryFeed(POLICY), { urgent: true });
  policies.set({ p: new Uint8Array(100_000) });
  let pushes = 0;
  const { port } = await serve([addresses, policies], { observer: { pushed: () => (pushes += 1) } });
  for (const raw of Array.from({ length: 6 }, () => rawStream(port))) {
    raw.stream.pause();
    raw.send({ node: NODE, typeUrl: ADDRESS });
  }
  await eventually(() => pushes >= 4);
  const late = rawStream(port);
  const initialResourceVersions = new Map([['r0', 'older']]);
  late.send({ node: NODE, typeUrl: POLICY });
  late.send({ typeUrl: ADDRESS, initialResourceVersions });
  await eventually(() => late.received.length === 2);
  expect(late.received.map(({ typeUrl }) => typeUrl)).toEqual([POLICY, ADDRESS]);
});
