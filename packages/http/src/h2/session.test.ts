import { Duplex } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { HpackEncoder } from '../hpack/encoder.ts';
import {
  FLOOD,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  LATE_ANSWER_MS,
  MAX_STREAMS,
  OUTBOX_HARD_BYTES,
  UNACKNOWLEDGED_SETTINGS,
} from '../limits.ts';
import { DuplexTransport } from '../transport/duplex-transport.ts';
import { frame, numbersFrame } from './frame-writer.ts';
import { DEFAULT_WINDOW_BYTES, FLAG, FRAME, H2, PREFACE, SETTING } from './protocol.ts';
import { DEFAULT_SESSION_OPTIONS, H2Session } from './session.ts';
import { encodeSettings } from './settings.ts';
import type { H2Stream, StreamHandler } from './stream.ts';

/** The bytes that a peer sends, and what it gets for them; it may stop to read. */
class Peer extends Duplex {
  readonly received: Buffer[] = [];
  reads = true;
  override _read() {}
  override _write(chunk: Buffer, _: string, done: () => void) {
    this.received.push(chunk);
    if (this.reads) done();
  }
  say(...frames: readonly Uint8Array[]) {
    for (const bytes of frames) this.push(bytes);
  }
  /** Type and payload of every frame that came. */
  frames(): { type: number; flags: number; streamId: number; payload: Buffer }[] {
    const all = Buffer.concat(this.received);
    const frames = [];
    for (let at = 0; at + 9 <= all.length; ) {
      const length = all.readUIntBE(at, 3);
      const payload = all.subarray(at + 9, at + 9 + length);
      frames.push({
        type: all[at + 3] ?? 0,
        flags: all[at + 4] ?? 0,
        streamId: all.readUInt32BE(at + 5),
        payload,
      });
      at += 9 + length;
    }
    return frames;
  }
}

class Silent implements StreamHandler {
  resets = 0;
  onHeaders() {}
  onData(stream: H2Stream, bytes: Buffer) {
    stream.credit(bytes.length);
  }
  onEnd() {}
  onReset() {
    this.resets++;
  }
  onWritable() {}
}

const encoder = new HpackEncoder();
const connectBlock = Buffer.from(
  encoder.encode([
    { name: ':method', value: 'CONNECT', indexed: false },
    { name: ':authority', value: '10.0.0.1:80', indexed: false },
  ]),
);
const settings = frame(FRAME.settings, 0, 0, new Uint8Array(0));
const request = (streamId: number) => frame(FRAME.headers, FLAG.endHeaders, streamId, connectBlock);

/** For what is counted by the second: all of it comes at once, however long that takes here. */
const clock = { ...systemClock, monotonicMs: () => 0 };

function serve(onOpened: (stream: H2Stream) => void = () => undefined, time: Clock = clock) {
  const peer = new Peer();
  const streams: H2Stream[] = [];
  let closed: Error | undefined;
  const session = new H2Session(
    'server',
    new DuplexTransport(peer, 'test'),
    {
      onStream(stream) {
        streams.push(stream);
        onOpened(stream);
        return new Silent();
      },
      onClosed(error) {
        closed = error;
      },
    },
    { ...DEFAULT_SESSION_OPTIONS, clock: time },
  );
  return { peer, session, streams, closed: () => closed };
}

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** The code of the GOAWAY that a peer gets for saying this, after the usual beginning. */
async function goawayFor(frames: readonly Uint8Array[]): Promise<number | undefined> {
  const { peer } = serve();
  peer.say(PREFACE, settings, ...frames);
  await turns();
  return peer
    .frames()
    .find(({ type }) => type === FRAME.goaway)
    ?.payload.readUInt32BE(4);
}

const many = (count: number, make: (i: number) => Uint8Array) =>
  Array.from({ length: count }, (_, i) => make(i));

test('a peer that goes on opening streams after the last one was named is refused, and then cut off', async () => {
  const { peer, session, streams } = serve();
  peer.say(PREFACE, settings, request(1));
  await turns();
  session.drain();
  await turns();
  const probe = peer.frames().find(({ type, flags }) => type === FRAME.ping && flags === 0);
  peer.say(frame(FRAME.ping, FLAG.ack, 0, probe?.payload ?? new Uint8Array(8)), request(3));
  await turns();
  expect(streams.map(({ id }) => id)).toEqual([1]);
  expect(peer.frames().at(-1)).toMatchObject({ type: FRAME.rstStream, streamId: 3 });
  peer.say(...many(FLOOD.useless.burst + 10 * FLOOD.useless.perSecond, (i) => request(5 + 2 * i)));
  await turns();
  expect(session.isClosed).toBe(true);
});

test('a peer that does not acknowledge SETTINGS is cut off', async () => {
  const { peer, session } = serve();
  peer.say(PREFACE, settings);
  await turns();
  for (let i = 0; i <= UNACKNOWLEDGED_SETTINGS; i++) session.limitStreamWindow(100_000 + i);
  await turns();
  const goaway = peer.frames().find(({ type }) => type === FRAME.goaway);
  expect(goaway?.payload.readUInt32BE(4)).toBe(H2.settingsTimeout);
  expect(session.isClosed).toBe(true);
});

test('data that a peer is sent may be answered with PINGs, as gRPC does to measure', async () => {
  const { peer, streams, session } = serve();
  const ping = frame(FRAME.ping, 0, 0, new Uint8Array(8));
  peer.say(PREFACE, settings, request(1), numbersFrame(FRAME.windowUpdate, 0, 1_000_000));
  peer.say(numbersFrame(FRAME.windowUpdate, 1, 1_000_000));
  await turns();
  for (let i = 0; i < 4 * FLOOD.ping.burst; i++) {
    streams[0]?.write(Buffer.from('a message'));
    peer.say(ping);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(session.isOpen).toBe(true);
  const pongs = peer.frames().filter(({ type, flags }) => type === FRAME.ping && flags === FLAG.ack);
  expect(pongs).toHaveLength(4 * FLOOD.ping.burst);
});

test('what a stream could not send counts as the memory that it waits in', async () => {
  const { peer, streams } = serve();
  peer.say(PREFACE, settings, request(1));
  await turns();
  const [stream] = streams;
  stream?.write(Buffer.alloc(DEFAULT_WINDOW_BYTES));
  expect(stream?.pendingBytes).toBe(0);
  // The window is used up. This lies in memory for 256 KiB, of which a frame's header is 9.
  stream?.write(Buffer.alloc(65 * 1024));
  expect(stream?.pendingBytes).toBe(9 + 256 * 1024);
  peer.say(numbersFrame(FRAME.windowUpdate, 0, 1_000_000), numbersFrame(FRAME.windowUpdate, 1, 1_000_000));
  await turns();
  expect(stream?.pendingBytes).toBe(0);
});

describe('a peer that means ill', () => {
  const EMPTY = new Uint8Array(0);
  const cases: Record<string, { frames: readonly Uint8Array[]; want: number }> = {
    'PING flood': {
      frames: many(FLOOD.ping.burst + 20, () => frame(FRAME.ping, 0, 0, new Uint8Array(8))),
      want: H2.enhanceYourCalm,
    },
    'requests above the number of streams': {
      frames: many(MAX_STREAMS + FLOOD.useless.burst + 20, (i) => request(1 + 2 * i)),
      want: H2.enhanceYourCalm,
    },
    'SETTINGS flood': { frames: many(FLOOD.settings.burst + 20, () => settings), want: H2.enhanceYourCalm },
    'rapid reset': {
      frames: many(FLOOD.rapidReset.burst + 20, (i) => {
        const streamId = 2 * i + 1;
        return Buffer.concat([request(streamId), numbersFrame(FRAME.rstStream, streamId, H2.cancel)]);
      }),
      want: H2.enhanceYourCalm,
    },
    'resets that it has us send, by a window of nothing': {
      frames: many(FLOOD.rapidReset.burst + 20, (i) => {
        const streamId = 2 * i + 1;
        return Buffer.concat([request(streamId), numbersFrame(FRAME.windowUpdate, streamId, 0)]);
      }),
      want: H2.enhanceYourCalm,
    },
    'resets that it has us send, by fields where none may be': {
      frames: many(FLOOD.rapidReset.burst + 20, (i) => {
        const streamId = 2 * i + 1;
        return Buffer.concat([request(streamId), request(streamId)]);
      }),
      want: H2.enhanceYourCalm,
    },
    'CONTINUATION flood': {
      frames: [
        frame(FRAME.headers, 0, 1, connectBlock),
        ...many(100, () => frame(FRAME.continuation, 0, 1, EMPTY)),
      ],
      want: H2.enhanceYourCalm,
    },
    'endless header block': {
      frames: [
        frame(FRAME.headers, 0, 1, connectBlock),
        ...many(10, () => frame(FRAME.continuation, 0, 1, new Uint8Array(16_384))),
      ],
      want: H2.enhanceYourCalm,
    },
    'empty DATA flood': {
      frames: [request(1), ...many(FLOOD.useless.burst + 50, () => frame(FRAME.data, 0, 1, EMPTY))],
      want: H2.enhanceYourCalm,
    },
    'unknown frames flood': {
      frames: many(FLOOD.useless.burst + 50, () => frame(0xfe, 0, 0, EMPTY)),
      want: H2.enhanceYourCalm,
    },
    'malformed header block': {
      frames: [frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
      want: H2.compressionError,
    },
    'huge SETTINGS': {
      frames: [frame(FRAME.settings, 0, 0, new Uint8Array(60_000))],
      want: H2.enhanceYourCalm,
    },
    'push promise': { frames: [frame(FRAME.pushPromise, 4, 1, new Uint8Array(4))], want: H2.protocolError },
    'more data than the window': {
      frames: [request(1), ...many(20, () => frame(FRAME.data, 0, 1, new Uint8Array(1024 * 1024)))],
      want: -1,
    },
  };
  test.each(Object.entries(cases))('%s', async (name, { frames, want }) => {
    if (name === 'more data than the window') {
      const { peer, streams } = serve();
      let held = 0;
      peer.say(PREFACE, settings, request(1));
      await turns();
      const [stream] = streams;
      if (stream)
        stream.handler = Object.assign(new Silent(), {
          onData(_: H2Stream, bytes: Buffer) {
            held += bytes.length;
          },
        });
      peer.say(...frames.slice(1));
      await turns();
      const reset = peer.frames().find(({ type }) => type === FRAME.rstStream);
      expect(reset?.payload.readUInt32BE(0)).toBe(H2.flowControlError);
      expect(held).toBeLessThanOrEqual(DEFAULT_SESSION_OPTIONS.streamWindowBytes);
      return;
    }
    expect(await goawayFor(frames)).toBe(want);
  });

  test('streams answered at once count as reset in haste if no answer can have been seen, and else do not', async () => {
    const { peer, session } = serve((stream) =>
      stream.respond([{ name: ':status', value: '200', indexed: true }], false),
    );
    const reset = (streamId: number) => numbersFrame(FRAME.rstStream, streamId, H2.cancel);
    peer.say(PREFACE, settings);
    const inPeace = 2 * FLOOD.rapidReset.burst;
    for (let i = 0; i < inPeace; i++) {
      peer.say(request(2 * i + 1));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      peer.say(reset(2 * i + 1));
    }
    await turns();
    expect(session.isOpen).toBe(true);
    const inHaste = Array.from({ length: FLOOD.rapidReset.burst + 20 }, (_, i) => 2 * (inPeace + i) + 1);
    peer.say(...inHaste.map((streamId) => Buffer.concat([request(streamId), reset(streamId)])));
    await turns();
    expect(
      peer
        .frames()
        .find(({ type }) => type === FRAME.goaway)
        ?.payload.readUInt32BE(4),
    ).toBe(H2.enhanceYourCalm);
  });

  test('a header list too large is refused, and the connection goes on', async () => {
    const { peer, streams } = serve();
    const big = encoder.encode([
      { name: ':method', value: 'CONNECT', indexed: false },
      { name: ':authority', value: '10.0.0.1:80', indexed: false },
      { name: 'baggage', value: 'x'.repeat(70_000), indexed: false },
    ]);
    peer.say(PREFACE, settings, frame(FRAME.headers, FLAG.endHeaders, 1, big), request(3));
    await turns();
    expect(peer.frames().find(({ type }) => type === FRAME.rstStream)?.streamId).toBe(1);
    expect(streams.map(({ id }) => id)).toEqual([3]);
  });

  test('more streams than announced are refused', async () => {
    const { peer, session } = serve();
    peer.say(PREFACE, settings, ...many(MAX_STREAMS + 5, (i) => request(2 * i + 1)));
    await turns();
    expect(session.openStreams).toBe(MAX_STREAMS);
    const refused = peer.frames().filter(({ type }) => type === FRAME.rstStream);
    expect(refused.map(({ payload }) => payload.readUInt32BE(0))).toEqual(Array(5).fill(H2.refusedStream));
  });

  test('a peer that asks and never reads is cut before its answers fill the memory', async () => {
    const { peer, streams, session } = serve();
    peer.reads = false;
    peer.say(PREFACE, settings, request(1));
    await turns();
    const [stream] = streams;
    const answer = [{ name: 'x', value: 'y'.repeat(8_000), indexed: false }];
    for (let i = 0; i < OUTBOX_HARD_BYTES / 4_000 && !session.isClosed; i++) stream?.respond(answer, false);
    expect(session.isClosed).toBe(true);
  });

  test('a connection that goes silent is dropped after the keepalive', async () => {
    const peer = new Peer();
    const reasons: (string | undefined)[] = [];
    const waiting = new FakeClock();
    const options = { ...DEFAULT_SESSION_OPTIONS, clock: waiting };
    const onClosed = (error: Error | undefined) => void reasons.push(error?.message);
    new H2Session('server', new DuplexTransport(peer, 'test'), { onClosed }, options);
    peer.say(PREFACE, settings);
    await turns();
    await waiting.advance(KEEPALIVE_INTERVAL_MS + KEEPALIVE_TIMEOUT_MS - 1);
    expect(reasons).toEqual([]);
    await waiting.advance(1);
    await turns();
    expect(reasons).toEqual(['connection closed: no answer to PING']);
  });

  test('random bytes after the beginning are refused, never thrown', async () => {
    let state = 99;
    const served = [];
    for (let round = 0; round < 300; round++) {
      const one = serve();
      const { peer } = one;
      served.push(one);
      const bytes = Buffer.alloc(200);
      for (let i = 0; i < bytes.length; i++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        bytes[i] = state >>> 24;
      }
      bytes.writeUIntBE(bytes.readUInt8(2) % 64, 0, 3);
      peer.say(PREFACE, settings, bytes, bytes.subarray(100));
    }
    await turns();
    const codes = served.flatMap(({ peer, session }) =>
      session.isClosed
        ? [
            peer
              .frames()
              .find(({ type }) => type === FRAME.goaway)
              ?.payload.readUInt32BE(4),
          ]
        : [],
    );
    // Some of it is still waiting for the rest of a frame.
    expect(codes.length).toBeGreaterThan(200);
    expect(codes.filter((code) => code === undefined || code === H2.noError)).toEqual([]);
    for (const { peer } of served) peer.destroy();
  });
});

describe('windows', () => {
  test('sending stops at the window and goes on with credit, in frames the peer takes', async () => {
    const { peer, streams } = serve();
    peer.say(PREFACE, settings, request(1));
    await turns();
    const [stream] = streams;
    stream?.respond([{ name: ':status', value: '200', indexed: true }], false);
    expect(stream?.write(Buffer.alloc(100_000))).toBe(false);
    await turns();
    const sent = () => peer.frames().filter(({ type }) => type === FRAME.data);
    const total = () => sent().reduce((sum, { payload }) => sum + payload.length, 0);
    expect(total()).toBe(65_535);
    expect(Math.max(...sent().map(({ payload }) => payload.length))).toBe(16_384);
    peer.say(numbersFrame(FRAME.windowUpdate, 1, 1_000_000), numbersFrame(FRAME.windowUpdate, 0, 10_000));
    await turns();
    expect(total()).toBe(75_535);
    stream?.end();
    peer.say(numbersFrame(FRAME.windowUpdate, 0, 1_000_000));
    await turns();
    expect(total()).toBe(100_000);
    expect(sent().at(-1)?.flags).toBe(FLAG.endStream);
  });

  test('a smaller initial window is told to the peer and counts from its acknowledgement', async () => {
    const { peer, session, streams } = serve();
    const ack = frame(FRAME.settings, FLAG.ack, 0, new Uint8Array(0));
    peer.say(PREFACE, settings, ack, request(1));
    await turns();
    session.limitStreamWindow(100_000);
    await turns();
    const announced = peer.frames().filter(({ type, flags }) => type === FRAME.settings && flags === 0);
    expect(announced.at(-1)?.payload).toEqual(Buffer.from([0, 4, 0, 1, 0x86, 0xa0]));
    expect(streams[0]?.receiveWindow).toBe(DEFAULT_SESSION_OPTIONS.streamWindowBytes);
    peer.say(ack);
    await turns();
    expect(streams[0]?.receiveWindow).toBe(100_000);
  });
});

describe('an answer that may wait for what follows it', () => {
  const goesOnUntil = (octets: number) =>
    frame(FRAME.settings, 0, 0, encodeSettings([[SETTING.earlyData, octets]]));
  const data = (words: string, flags = 0) => frame(FRAME.data, flags, 1, Buffer.from(words));
  const OK = [{ name: ':status', value: '200', indexed: true }];

  /** A client that asks and says `words` with it; what it gets on its stream then. */
  async function ask(settingsOfPeer: Uint8Array, ...words: readonly Uint8Array[]) {
    const timers: [ms: number, run: () => void][] = [];
    const after = (ms: number, run: () => void) => {
      timers.push([ms, run]);
      return { cancel() {} };
    };
    const { peer, streams } = serve((opened) => opened.respondLate(OK), { ...clock, after });
    peer.say(PREFACE, settingsOfPeer);
    await turns();
    peer.received.length = 0;
    peer.say(Buffer.concat([request(1), ...words]));
    await turns();
    const [stream] = streams;
    if (!stream) throw new Error('no stream');
    const got = () => peer.frames().map(({ type, payload }) => (type === FRAME.data ? `${payload}` : type));
    const pass = (ms: number) => {
      for (const [after, run] of timers) if (after === ms) run();
    };
    return { peer, stream, got, pass };
  }

  test('goes out in one write with the first data', async () => {
    const { peer, stream, got } = await ask(goesOnUntil(100), data('question'));
    expect(got()).toEqual([]);
    stream.write(Buffer.from('answer'));
    await turns();
    expect([got(), peer.received.length]).toEqual([[FRAME.headers, 'answer'], 1]);
    stream.write(Buffer.from(', more'));
    await turns();
    expect(got()).toEqual([FRAME.headers, 'answer', ', more']);
  });

  test('goes out before an end without data', async () => {
    const { stream, got } = await ask(goesOnUntil(100), data('question'));
    stream.end();
    await turns();
    expect(got()).toEqual([FRAME.headers, '']);
  });

  test.each([
    ['waits for it', settings, [data('question')]],
    ['has said nothing yet', goesOnUntil(100), []],
    ['has said so much that it waits for it', goesOnUntil(8), [data('question')]],
    ['has ended', goesOnUntil(100), [data('question', FLAG.endStream)]],
  ])('goes out at once to a client that %s', async (_, settingsOfPeer, words) => {
    const { got } = await ask(settingsOfPeer, ...words);
    expect(got()).toEqual([FRAME.headers]);
  });

  test.each([
    ['says more', data('another')],
    ['ends', data('', FLAG.endStream)],
  ])('goes out as soon as the client %s', async (_, later) => {
    const { peer, got } = await ask(goesOnUntil(100), data('question'));
    peer.say(later);
    await turns();
    expect(got()).toEqual([FRAME.headers]);
  });

  test('waits only so long', async () => {
    const { stream, got, pass } = await ask(goesOnUntil(100), data('question'));
    pass(LATE_ANSWER_MS);
    await turns();
    expect(got()).toEqual([FRAME.headers]);
    stream.write(Buffer.from('answer'));
    await turns();
    expect(got()).toEqual([FRAME.headers, 'answer']);
  });

  test('is dropped with its stream', async () => {
    const { stream, got, pass } = await ask(goesOnUntil(100), data('question'));
    stream.reset(H2.cancel);
    pass(LATE_ANSWER_MS);
    await turns();
    expect(got()).toEqual([FRAME.rstStream]);
  });
});
