import { describe, expect, test } from '@jest/globals';
import { createDeltaRequest, type DeltaDiscoveryRequest } from '@ambit/api/discovery';
import { ClientLimitError } from '../errors.ts';
import { MAX_KEYS_PER_CLIENT, MAX_NAME_LENGTH_CHARS } from '../limits.ts';
import { MemoryFeed } from '../testing/memory-feed.ts';
import { EVERYTHING, Subscription } from './subscription.ts';

const NODE = { id: 'ztunnel~1', metadata: { NODE_NAME: 'n1' } };
const NOTHING = ['*'];

function follow(feed: MemoryFeed, first: Partial<DeltaDiscoveryRequest> = {}) {
  const subscription = new Subscription(feed, NODE);
  feed.subscribe((change) => subscription.changed(change));
  let nonces = 0;
  const take = () => {
    const taken = subscription.take();
    if (!taken) return undefined;
    const update = taken === EVERYTHING ? { resources: [...feed.all()], removed: [] } : taken;
    nonces += 1;
    subscription.sent(`n${nonces}`);
    return { sent: update.resources.map(({ name }) => name).sort(), removed: [...update.removed].sort() };
  };
  const ask = (request: Partial<DeltaDiscoveryRequest>) => subscription.request(createDeltaRequest(request));
  ask(first);
  return { subscription, take, ask };
}

const feedOf = (...names: readonly string[]) => {
  const feed = new MemoryFeed('type');
  feed.set(Object.fromEntries(names.map((name) => [name, name])));
  return feed;
};

const held = (feed: MemoryFeed, ...names: readonly string[]) =>
  new Map(names.map((name) => [name, feed.get(name)?.version ?? 'old']));

const onDemand = { resourceNamesSubscribe: NOTHING, resourceNamesUnsubscribe: NOTHING };

describe('a client that follows everything', () => {
  test('gets all at first, and an answer even if there is nothing', () => {
    expect(follow(feedOf('a', 'b')).take()).toEqual({ sent: ['a', 'b'], removed: [] });
    expect(follow(feedOf()).take()).toEqual({ sent: [], removed: [] });
    expect(follow(feedOf('a'), { resourceNamesSubscribe: ['*'] }).take()).toEqual({
      sent: ['a'],
      removed: [],
    });
  });

  test('is owed no names while it waits for everything', () => {
    const feed = feedOf('a');
    const { subscription, take } = follow(feed);
    feed.set({ a: '1', b: '2' });
    feed.remove('a');
    expect([subscription.owesAll, subscription.owed]).toEqual([true, 0]);
    expect(take()).toEqual({ sent: ['b'], removed: [] });
    expect(take()).toBeUndefined();
  });

  test('then what changed, however often, once', () => {
    const feed = feedOf('a', 'b');
    const { take } = follow(feed);
    take();
    expect(take()).toBeUndefined();
    feed.set({ a: '1' });
    feed.set({ a: '2', c: '3' });
    feed.remove('c', 'b');
    expect(take()).toEqual({ sent: ['a'], removed: ['b', 'c'] });
    expect(take()).toBeUndefined();
  });

  test('what is removed and comes back before it was told is a change', () => {
    const feed = feedOf('a');
    const { take } = follow(feed);
    take();
    feed.remove('a');
    feed.set({ a: 'new' });
    expect(take()).toEqual({ sent: ['a'], removed: [] });
  });

  test('after a reconnect gets the difference to what it holds', () => {
    const feed = feedOf('same', 'changed', 'new');
    const versions = held(feed, 'same', 'gone').set('changed', 'old').set('rejected', '');
    const { take } = follow(feed, { initialResourceVersions: versions });
    expect(take()).toEqual({ sent: ['changed', 'new'], removed: ['gone', 'rejected'] });
  });
});

describe('a client that asks for single names', () => {
  test('gets nothing at first but the answer, then what it asks for', () => {
    const feed = new MemoryFeed('type');
    feed.set({ w: '1', other: '2' }, { w: ['net/10.0.0.1'] });
    const { take, ask } = follow(feed, onDemand);
    expect(take()).toEqual({ sent: [], removed: [] });
    expect(ask({ resourceNamesSubscribe: ['net/10.0.0.1'] })).toBe('answer');
    expect(take()).toEqual({ sent: ['w'], removed: [] });
    feed.set({ other: '3' });
    expect(take()).toBeUndefined();
    feed.set({ w: '4' }, { w: ['net/10.0.0.1'] });
    expect(take()).toEqual({ sent: ['w'], removed: [] });
    feed.remove('w');
    expect(take()).toEqual({ sent: [], removed: ['w'] });
  });

  test('is told that a key leads nowhere, and gets it when it comes into being', () => {
    const feed = feedOf();
    const { take, ask } = follow(feed, onDemand);
    take();
    ask({ resourceNamesSubscribe: ['late'] });
    expect(take()).toEqual({ sent: [], removed: ['late'] });
    feed.set({ late: '1' });
    expect(take()).toEqual({ sent: ['late'], removed: [] });
  });

  test('is answered again when it asks again', () => {
    const { take, ask } = follow(feedOf('a'), onDemand);
    take();
    ask({ resourceNamesSubscribe: ['a'] });
    expect(take()).toEqual({ sent: ['a'], removed: [] });
    ask({ resourceNamesSubscribe: ['a'] });
    expect(take()).toEqual({ sent: ['a'], removed: [] });
  });

  test('goes on after a reconnect with what it held and what it waited for', () => {
    const feed = new MemoryFeed('type');
    feed.set({ same: '1', changed: '2', waited: '3', unasked: '4' }, { waited: ['net/1'] });
    const versions = held(feed, 'same', 'gone').set('changed', 'old').set('net/1', '').set('missing', '');
    const { take } = follow(feed, { ...onDemand, initialResourceVersions: versions });
    expect(take()).toEqual({ sent: ['changed', 'waited'], removed: ['gone', 'missing'] });
    feed.set({ same: 'new', unasked: 'new' });
    expect(take()).toEqual({ sent: ['same'], removed: [] });
  });

  test('no longer gets what it no longer wants', () => {
    const feed = feedOf('a');
    const { take, ask } = follow(feed, { resourceNamesSubscribe: ['a'] });
    take();
    ask({ resourceNamesUnsubscribe: ['a'] });
    feed.set({ a: 'new' });
    expect(take()).toBeUndefined();
  });

  test('gets the residents of its node as well', () => {
    const feed = feedOf('mine', 'other');
    feed.residentNames = (node) => (node.metadata['NODE_NAME'] === 'n1' ? ['mine', 'mine2'] : []);
    const { take } = follow(feed, onDemand);
    expect(take()).toEqual({ sent: ['mine'], removed: [] });
    feed.set({ mine2: '1', other: '2' });
    expect(take()).toEqual({ sent: ['mine2'], removed: [] });
  });

  test('can change its mind and follow everything', () => {
    const { take, ask } = follow(feedOf('a', 'b'), { resourceNamesSubscribe: ['a'] });
    expect(take()).toEqual({ sent: ['a'], removed: [] });
    ask({ resourceNamesSubscribe: ['*'] });
    expect(take()).toEqual({ sent: ['b'], removed: [] });
  });
});

describe('acknowledgements', () => {
  test('only the newest nonce counts; a refusal is no request', () => {
    const { take, ask, subscription } = follow(feedOf('a'));
    take();
    expect(ask({ responseNonce: 'n1' })).toBe('acknowledged');
    expect(subscription.nonceAcknowledged).toBe('n1');
    expect(ask({ responseNonce: 'older' })).toBe('stale');
    const errorDetail = { code: 0, message: 'a: bad', details: [] };
    expect(ask({ responseNonce: 'n1', errorDetail })).toBe('refused');
    expect(take()).toBeUndefined();
  });

  test('names asked for beside an old nonce are answered all the same', () => {
    const { take, ask, subscription } = follow(feedOf('a'), onDemand);
    take();
    expect(ask({ responseNonce: 'older', resourceNamesSubscribe: ['a'] })).toBe('answer');
    expect(subscription.nonceAcknowledged).toBe('');
    expect(take()).toEqual({ sent: ['a'], removed: [] });
  });
});

describe('limits', () => {
  test('names of a client', () => {
    const { ask } = follow(feedOf(), onDemand);
    const many = Array.from({ length: MAX_KEYS_PER_CLIENT + 1 }, (_, i) => `k${i}`);
    expect(() => ask({ resourceNamesSubscribe: many })).toThrow(ClientLimitError);
    expect(() => ask({ resourceNamesSubscribe: ['x'.repeat(MAX_NAME_LENGTH_CHARS + 1)] })).toThrow(
      ClientLimitError,
    );
  });
});
