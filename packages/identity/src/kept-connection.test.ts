import { FakeClock } from '@ambit/core/testing/fake-clock';
import { type ChannelInterface, connectivityState } from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';
import { KeptConnection } from './kept-connection.ts';

const { IDLE, CONNECTING, READY, TRANSIENT_FAILURE, SHUTDOWN } = connectivityState;
const SPREAD_MS = 1_000;

/** As gRPC's: it tells a copy of its watchers, and who asks it to connect has it tell them from within. */
class FakeChannel {
  state = IDLE;
  dials = 0;
  watchers: { readonly unlike: connectivityState; readonly call: () => void }[] = [];

  getConnectivityState(connect: boolean): connectivityState {
    const { state } = this;
    if (connect && state === IDLE) {
      this.dials += 1;
      this.become(CONNECTING);
    }
    return state;
  }

  watchConnectivityState(unlike: connectivityState, _deadline: Date | number, call: () => void): void {
    this.watchers.push({ unlike, call });
  }

  become(state: connectivityState): void {
    this.state = state;
    for (const watcher of [...this.watchers])
      if (watcher.unlike !== state) {
        this.watchers = this.watchers.filter((other) => other !== watcher);
        watcher.call();
      }
  }
}

function keep(random = () => 0.5) {
  const channel = new FakeChannel();
  const clock = new FakeClock();
  const connected: number[] = [];
  const options = {
    clock,
    random,
    spreadMs: SPREAD_MS,
    onConnected: () => connected.push(channel.dials),
  };
  const kept = new KeptConnection(channel as unknown as ChannelInterface, options);
  const become = async (...states: readonly connectivityState[]) => {
    for (const state of states) {
      channel.become(state);
      await clock.advance(0);
    }
  };
  return { channel, clock, kept, become, connected };
}

test('a connection that has come to its end is made again, each time by one watcher alone', async () => {
  const { channel, clock, become } = keep();
  for (let ended = 0; ended < 20; ended++) {
    expect(channel.dials).toBe(ended + 1);
    await become(READY);
    expect(channel.watchers).toHaveLength(1);
    await become(IDLE);
    await clock.advance(SPREAD_MS);
  }
});

test('not at the moment at which all others make theirs', async () => {
  const { channel, clock, become } = keep(() => 0.5);
  await become(READY, IDLE);
  await clock.advance(SPREAD_MS / 2 - 1);
  expect(channel.dials).toBe(1);
  await clock.advance(1);
  expect(channel.dials).toBe(2);
});

test('gRPC itself connects again after a failure', async () => {
  const { channel, clock, become } = keep();
  await become(TRANSIENT_FAILURE, CONNECTING, TRANSIENT_FAILURE);
  await clock.advance(SPREAD_MS);
  expect([channel.dials, channel.watchers.length]).toEqual([1, 1]);
});

test('each new connection is told of, once', async () => {
  const { clock, become, connected } = keep();
  await become(READY, IDLE);
  expect(connected).toEqual([1]);
  await clock.advance(SPREAD_MS);
  await become(TRANSIENT_FAILURE, CONNECTING, READY);
  expect(connected).toEqual([1, 2]);
});

test.each([
  ['a channel that is closed', (made: ReturnType<typeof keep>) => made.become(SHUTDOWN)],
  ['one that nobody keeps any more', async ({ kept }: ReturnType<typeof keep>) => kept[Symbol.dispose]()],
])('%s is left alone', async (_, end) => {
  const made = keep();
  await made.become(READY);
  await end(made);
  if (made.channel.state !== SHUTDOWN) await made.become(IDLE);
  await made.clock.advance(SPREAD_MS);
  expect([made.channel.dials, made.channel.watchers]).toEqual([1, []]);
});
