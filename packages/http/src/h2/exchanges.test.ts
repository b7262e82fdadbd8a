import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { Deadlines } from '../deadlines.ts';
import type { HttpError } from '../errors.ts';
import type {
  BodyReceiver,
  HttpClientConnection,
  RequestHead,
  ResponseHead,
  ResponseReceiver,
  ServerExchange,
} from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import { HpackEncoder } from '../hpack/encoder.ts';
import { FAREWELL_MS, FLOOD, GOAWAY_CONFIRM_MS } from '../limits.ts';
import { DEFAULT_HTTP2_CLIENT_OPTIONS, DEFAULT_HTTP2_OPTIONS, type Http2Options } from '../options.ts';
import { MemoryTransport } from '../testing/memory-transport.ts';
import { connectHttp2 } from './client.ts';
import { frame, numbersFrame } from './frame-writer.ts';
import { FLAG, FRAME, H2, PREFACE, SETTING } from './protocol.ts';
import { serveHttp2 } from './server.ts';
import { encodeSettings } from './settings.ts';

const deadlines = new Deadlines(systemClock);
const common = { deadlines, clock: systemClock };
const NOTHING = new Uint8Array(0);
const settings = frame(FRAME.settings, 0, 0, NOTHING);
const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A peer that speaks in frames of the test's own making. */
class Frames {
  readonly transport = new MemoryTransport();
  readonly #encoder = new HpackEncoder();

  say(...frames: readonly Uint8Array[]): void {
    for (const bytes of frames) this.transport.deliver(bytes);
  }

  headers(streamId: number, fields: HeaderFields, flags = 0): Buffer {
    return Buffer.from(
      frame(FRAME.headers, FLAG.endHeaders | flags, streamId, this.#encoder.encodeFields(fields)),
    );
  }

  data(streamId: number, text: string, flags = 0): Buffer {
    return frame(FRAME.data, flags, streamId, Buffer.from(text));
  }

  /** Frames that came of a type, as their streams and first numbers. */
  heard(type: number): { streamId: number; flags: number; payload: Buffer }[] {
    const all = this.transport.written;
    const from = PREFACE.compare(all, 0, PREFACE.length) === 0 ? PREFACE.length : 0;
    const found = [];
    for (let at = from; at + 9 <= all.length; ) {
      const length = all.readUIntBE(at, 3);
      const payload = all.subarray(at + 9, at + 9 + length);
      if (all[at + 3] === type)
        found.push({ streamId: all.readUInt32BE(at + 5), flags: all[at + 4] ?? 0, payload });
      at += 9 + length;
    }
    return found;
  }

  resets(): string[] {
    return this.heard(FRAME.rstStream).map(
      ({ streamId, payload }) => `${streamId}:${payload.readUInt32BE(0)}`,
    );
  }
}

class Receiver implements BodyReceiver {
  readonly events: string[] = [];
  readonly exchange: ServerExchange;
  constructor(exchange: ServerExchange) {
    this.exchange = exchange;
  }
  onData(bytes: Buffer) {
    this.events.push(`data ${String(bytes)}`);
    this.exchange.credit(bytes.length);
  }
  onEnd(trailers: HeaderFields | undefined) {
    this.events.push(trailers ? `end ${trailers.join(' ')}` : 'end');
  }
  onAbort(error: HttpError) {
    this.events.push(`abort ${error.kind} ${error.reason}`);
  }
  onWritable() {}
}

function serve(
  answer: (exchange: ServerExchange) => void = () => undefined,
  options: Partial<Http2Options> = {},
) {
  const peer = new Frames();
  const receivers: Receiver[] = [];
  const refused: string[] = [];
  const connection = serveHttp2(
    peer.transport,
    {
      onRequest(exchange) {
        const receiver = new Receiver(exchange);
        receivers.push(receiver);
        answer(exchange);
        return receiver;
      },
      onRefused: (error) => refused.push(`${error.status} ${error.reason}`),
    },
    { ...DEFAULT_HTTP2_OPTIONS, ...common, ...options },
  );
  peer.say(PREFACE, settings);
  return { peer, connection, receivers, refused };
}

const request = (over: Readonly<Record<string, string>> = {}): string[] =>
  Object.entries({
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': 'a.example',
    ':path': '/',
    ...over,
  }).flat();
const say = (exchange: ServerExchange) => {
  exchange.respond({ status: 200, fields: ['content-length', '2'] }, false);
  exchange.write(Buffer.from('hi'));
  exchange.end();
};

describe('a server', () => {
  const refusals: Record<string, { fields: string[]; want: string }> = {
    'a host that contradicts the authority': {
      fields: [...request(), 'host', 'b.example'],
      want: '400 host-mismatch',
    },
    'two hosts': {
      fields: [...request({ ':authority': '' }), 'host', 'a', 'host', 'a'],
      want: '400 duplicate-host',
    },
    'no authority': { fields: request().filter((_, i) => i !== 4 && i !== 5), want: '400 missing-host' },
    'user information': { fields: request({ ':authority': 'u@a' }), want: '400 illegal-host' },
    'a path that is none': { fields: request({ ':path': 'x' }), want: '400 illegal-target' },
    'a path with a space': { fields: request({ ':path': '/x HTTP/1.1' }), want: '400 illegal-target' },
    'a path with a fragment': { fields: request({ ':path': '/x#y' }), want: '400 illegal-target' },
    '* with POST': { fields: request({ ':path': '*' }), want: '400 illegal-target' },
    'another scheme': { fields: request({ ':scheme': 'ftp' }), want: '400 illegal-scheme' },
    'a method that is no token': { fields: request({ ':method': 'G T' }), want: '400 illegal-method' },
    'a content-length that is none': {
      fields: [...request(), 'content-length', '+1'],
      want: '400 illegal-content-length',
    },
    'two content-lengths': {
      fields: [...request(), 'content-length', '1', 'content-length', '1'],
      want: '400 duplicate-content-length',
    },
    'an expectation that is unknown': {
      fields: [...request(), 'expect', 'x'],
      want: '417 unknown-expectation',
    },
    'a header that is too large': {
      fields: [...request(), 'x', 'y'.repeat(62_000)],
      want: '431 header-too-large',
    },
    'a connection-specific field': {
      fields: [...request(), 'connection', 'close'],
      want: '0 malformed-headers',
    },
    'transfer-encoding': {
      fields: [...request(), 'transfer-encoding', 'chunked'],
      want: '0 malformed-headers',
    },
    'a protocol without CONNECT': { fields: [':protocol', 'x', ...request()], want: '0 malformed-headers' },
    'no path': { fields: request().slice(0, 6), want: '0 malformed-headers' },
  };
  test.each(Object.entries(refusals))('refuses %s, and goes on', async (_, { fields, want }) => {
    const { peer, refused, receivers } = serve(say);
    peer.say(peer.headers(1, fields), peer.headers(3, request(), FLAG.endStream));
    await turns();
    expect(refused).toEqual([want]);
    expect(receivers).toHaveLength(1);
    const answered = peer.heard(FRAME.headers).map(({ streamId }) => streamId);
    expect(answered).toEqual(want.startsWith('0') ? [3] : [1, 3]);
    expect(peer.resets()).toEqual([want.startsWith('0') ? `1:${H2.protocolError}` : `1:${H2.noError}`]);
  });

  test('joins what a cookie was cut into', async () => {
    const { peer, receivers } = serve();
    peer.say(peer.headers(1, [...request(), 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'], FLAG.endStream));
    await turns();
    expect(receivers[0]?.exchange.head.fields).toEqual(['x', 'y', 'cookie', 'a=1; b=2']);
  });

  test.each([
    ['shorter', 'ab'],
    ['longer', 'abcd'],
  ])('resets a request whose body is %s than it said', async (_, body) => {
    const { peer, receivers } = serve();
    peer.say(peer.headers(1, [...request(), 'content-length', '3']), peer.data(1, body, FLAG.endStream));
    await turns();
    expect(receivers[0]?.events.at(-1)).toBe('abort protocol content-length-mismatch');
    expect(peer.resets()).toEqual([`1:${H2.protocolError}`]);
  });

  test('cuts off a client that goes on sending bodies of another length than it said', async () => {
    // What is counted by the second comes all at once, however long that takes here.
    const clock = { ...systemClock, monotonicMs: () => 0 };
    const { peer, receivers } = serve(undefined, { clock });
    for (let i = 0; i < FLOOD.rapidReset.burst + 500; i++) {
      const streamId = 2 * i + 1;
      peer.say(
        peer.headers(streamId, [...request(), 'content-length', '1']),
        peer.data(streamId, 'ab', FLAG.endStream),
      );
    }
    await turns();
    expect(peer.heard(FRAME.goaway).map(({ payload }) => payload.readUInt32BE(4))).toEqual([
      H2.enhanceYourCalm,
    ]);
    expect(receivers.every(({ events }) => events.length === 1)).toBe(true);
  });

  test('lets a client take the end of the last answer as slowly as it likes, then says goodbye', async () => {
    const clock = new FakeClock();
    const { peer, connection } = serve(
      (exchange) => {
        exchange.respond({ status: 200, fields: [] }, false);
        peer.transport.reads = false;
        exchange.write(Buffer.alloc(10_000));
        exchange.end();
      },
      { clock },
    );
    peer.say(peer.headers(1, request(), FLAG.endStream));
    await turns();
    connection.drain();
    await clock.advance(GOAWAY_CONFIRM_MS);
    expect(connection.openExchanges).toBe(0);
    await clock.advance(FAREWELL_MS - 1);
    expect([peer.transport.ended, peer.transport.destroyed]).toEqual([false, false]);
    peer.transport.drain();
    expect([peer.transport.ended, peer.transport.destroyed]).toEqual([true, false]);
    await clock.advance(GOAWAY_CONFIRM_MS);
    expect(peer.transport.left).toBe(true);
  });

  test('says at once that trailers cannot be sent, though their turn would come later', async () => {
    const { peer, receivers } = serve((exchange) => {
      exchange.respond({ status: 200, fields: [] }, false);
      expect(exchange.write(Buffer.alloc(100_000))).toBe(false);
      expect(() => exchange.end(['x', 'a\r\nb'])).toThrow('illegal-outgoing-field');
      exchange.abort('failed');
    });
    peer.say(peer.headers(1, request(), FLAG.endStream), numbersFrame(FRAME.windowUpdate, 0, 1_000_000));
    peer.say(numbersFrame(FRAME.windowUpdate, 1, 1_000_000));
    await turns();
    expect(receivers).toHaveLength(1);
  });

  test('asks a client whose request was answered early to stop, without calling it an error', async () => {
    const { peer, receivers } = serve(say);
    peer.say(peer.headers(1, request()), peer.data(1, 'more'), peer.data(1, 'and more', FLAG.endStream));
    await turns();
    expect(receivers[0]?.events).toEqual([]);
    expect(peer.resets()).toEqual([`1:${H2.noError}`]);
    expect(peer.heard(FRAME.data).map(({ flags }) => flags)).toEqual([0, FLAG.endStream]);
  });

  test.each([
    ['content-length', '5'],
    ['authorization', 'x'],
    ['host', 'b'],
  ])('resets a request whose trailers would change it: %s', async (name, value) => {
    const { peer, receivers } = serve();
    peer.say(peer.headers(1, request()), peer.headers(1, [name, value], FLAG.endStream));
    await turns();
    expect(receivers[0]?.events).toEqual(['abort protocol malformed-stream']);
    expect(peer.resets()).toEqual([`1:${H2.protocolError}`]);
  });

  test('tells why it gives up, and hears when a client does', async () => {
    const { peer, receivers } = serve((exchange) => {
      if (exchange.head.path === '/refuse') exchange.abort('refused');
      if (exchange.head.path === '/fail') exchange.abort('failed');
    });
    peer.say(
      peer.headers(1, request({ ':path': '/refuse' })),
      peer.headers(3, request({ ':path': '/fail' })),
      peer.headers(5, request()),
      numbersFrame(FRAME.rstStream, 5, H2.cancel),
    );
    await turns();
    expect(peer.resets()).toEqual([`1:${H2.refusedStream}`, `3:${H2.internalError}`]);
    expect(receivers[2]?.events).toEqual(['abort reset stream-reset']);
  });

  test('takes no more streams than it said', async () => {
    const { peer, receivers } = serve(undefined, { maxStreams: 2 });
    const announced = peer.heard(FRAME.settings)[0]?.payload;
    expect(announced?.subarray(0, 6)).toEqual(encodeSettings([[SETTING.maxConcurrentStreams, 2]]));
    peer.say(peer.headers(1, request()), peer.headers(3, request()), peer.headers(5, request()));
    await turns();
    expect(receivers).toHaveLength(2);
    expect(peer.resets()).toEqual([`5:${H2.refusedStream}`]);
  });

  test('drains: says so, answers what is there, then ends', async () => {
    const { peer, connection, receivers } = serve();
    peer.say(peer.headers(1, request(), FLAG.endStream));
    connection.drain();
    await turns();
    expect(peer.heard(FRAME.goaway)).toHaveLength(1);
    const [probe] = peer.heard(FRAME.ping);
    peer.say(frame(FRAME.ping, FLAG.ack, 0, probe?.payload ?? NOTHING));
    await turns();
    expect([connection.idle, peer.transport.ended]).toEqual([false, false]);
    const [waiting] = receivers;
    if (waiting) say(waiting.exchange);
    await turns();
    expect([connection.idle, peer.transport.ended]).toEqual([true, true]);
  });
});

const head: RequestHead = {
  method: 'GET',
  scheme: 'http',
  authority: 'a.example',
  path: '/',
  version: '2',
  fields: [],
  upgrade: undefined,
  expectsContinue: false,
  endsHere: true,
};

class Result implements ResponseReceiver {
  readonly events: string[] = [];
  error: HttpError | undefined;
  onInformational({ status }: ResponseHead) {
    this.events.push(`informational ${status}`);
  }
  onResponse({ status, fields }: ResponseHead, endsHere: boolean) {
    this.events.push(`${status} ${fields.join(' ')}${endsHere ? 'ends' : ''}`);
  }
  onData(bytes: Buffer) {
    this.events.push(`data ${String(bytes)}`);
  }
  onEnd(trailers: HeaderFields | undefined) {
    this.events.push(`end ${trailers?.join(' ') ?? ''}`);
  }
  onAbort(error: HttpError) {
    this.error = error;
    this.events.push(`abort ${error.kind} ${error.reason}`);
  }
  onWritable() {}
}

function ask(count: number, over: Partial<RequestHead> = {}) {
  const peer = new Frames();
  let changes = 0;
  const connection = connectHttp2(
    peer.transport,
    { onChange: () => changes++ },
    { ...DEFAULT_HTTP2_CLIENT_OPTIONS, ...common, maxExchanges: 10 },
  );
  const results = Array.from({ length: count }, () => new Result());
  const exchanges = results.map((result) => connection.request({ ...head, ...over }, result));
  return { peer, connection, results, exchanges, changes: () => changes };
}

describe('a client', () => {
  test('knows which requests were certainly not processed when the server goes away', async () => {
    const { peer, connection, results } = ask(3);
    peer.say(settings, peer.headers(1, [':status', '200']), numbersFrame(FRAME.goaway, 0, 3, H2.noError));
    await turns();
    expect(results.map(({ error }) => error && [error.reason, error.mayHaveReached])).toEqual([
      undefined,
      undefined,
      ['goaway', false],
    ]);
    expect([connection.canRequest, connection.isClosing, connection.openExchanges]).toEqual([false, true, 2]);
    peer.transport.close();
    await turns();
    expect(results.slice(0, 2).map(({ error }) => error && [error.kind, error.mayHaveReached])).toEqual([
      ['closed', true],
      ['closed', true],
    ]);
  });

  test('tells a refused request from one that was reset', async () => {
    const { peer, results } = ask(2);
    peer.say(
      settings,
      numbersFrame(FRAME.rstStream, 1, H2.refusedStream),
      numbersFrame(FRAME.rstStream, 3, H2.enhanceYourCalm),
    );
    await turns();
    expect(results.map(({ error }) => [error?.kind, error?.mayHaveReached, error?.h2Code])).toEqual([
      ['refused', false, H2.refusedStream],
      ['reset', true, H2.enhanceYourCalm],
    ]);
  });

  test('asks no more at a time than the server allows, nor than it was told', () => {
    const { peer, connection, changes } = ask(0);
    expect(connection.maxExchanges).toBe(10);
    peer.say(frame(FRAME.settings, 0, 0, encodeSettings([[SETTING.maxConcurrentStreams, 1]])));
    expect([connection.maxExchanges, changes() > 0]).toEqual([1, true]);
    connection.request(head, new Result());
    expect(connection.canRequest).toBe(false);
    expect(() => connection.request(head, new Result())).toThrow('connection-takes-no-request');
  });

  const broken: Record<string, { frames: (peer: Frames) => Uint8Array[]; want: string }> = {
    'data before the response': {
      frames: (peer) => [peer.data(1, 'x')],
      want: 'abort protocol data-before-response',
    },
    'no response': {
      frames: (peer) => [peer.data(1, '', FLAG.endStream)],
      want: 'abort protocol end-before-response',
    },
    'a body shorter than announced': {
      frames: (peer) => [
        peer.headers(1, [':status', '200', 'content-length', '3']),
        peer.data(1, 'ab', FLAG.endStream),
      ],
      want: 'abort protocol content-length-mismatch',
    },
    'a body longer than announced': {
      frames: (peer) => [peer.headers(1, [':status', '200', 'content-length', '1']), peer.data(1, 'ab')],
      want: 'abort protocol content-length-mismatch',
    },
    'no body though announced': {
      frames: (peer) => [peer.headers(1, [':status', '200', 'content-length', '1'], FLAG.endStream)],
      want: 'abort protocol content-length-mismatch',
    },
    'no status': { frames: (peer) => [peer.headers(1, ['x', 'y'])], want: 'abort protocol malformed-stream' },
    'a field of the connection': {
      frames: (peer) => [peer.headers(1, [':status', '200', 'transfer-encoding', 'chunked'])],
      want: 'abort protocol malformed-stream',
    },
    'a header that is too large': {
      frames: (peer) => [peer.headers(1, [':status', '200', 'x', 'y'.repeat(62_000)])],
      want: 'abort limit header-too-large',
    },
    'endless informational responses': {
      frames: (peer) => Array.from({ length: 33 }, () => peer.headers(1, [':status', '103'])),
      want: 'abort protocol too-many-informational-responses',
    },
    'an informational response with a length that is none': {
      frames: (peer) => [peer.headers(1, [':status', '103', 'content-length', 'x'])],
      want: 'abort protocol illegal-content-length',
    },
    'a switch of protocols as only HTTP/1.1 has it': {
      frames: (peer) => [peer.headers(1, [':status', '101'])],
      want: 'abort protocol malformed-stream',
    },
  };
  test.each(Object.entries(broken))(
    'gives up at %s, and the connection goes on',
    async (_, { frames, want }) => {
      const { peer, connection, results } = ask(1);
      peer.say(settings, ...frames(peer));
      await turns();
      expect(results[0]?.events.at(-1)).toBe(want);
      expect(connection.canRequest).toBe(true);
    },
  );

  test('takes a length without a body where there is none', async () => {
    const { peer, results, connection } = ask(1, { method: 'HEAD' });
    peer.say(settings, peer.headers(1, [':status', '200', 'content-length', '5'], FLAG.endStream));
    await turns();
    expect([results[0]?.events, connection.completedExchanges]).toEqual([['200 content-length 5ends'], 1]);
  });

  test('stops sending when it has its answer', async () => {
    const { peer, results, exchanges } = ask(1, { method: 'POST', endsHere: false });
    exchanges[0]?.write(Buffer.from('some'));
    peer.say(settings, peer.headers(1, [':status', '413'], FLAG.endStream));
    await turns();
    expect(results[0]?.events).toEqual(['413 ends']);
    expect(peer.resets()).toEqual([`1:${H2.noError}`]);
    exchanges[0]?.write(Buffer.from('more'));
    await turns();
    expect(peer.heard(FRAME.data)).toHaveLength(1);
  });

  test('asks for no other protocol of a server that does not say it takes that', () => {
    const { peer, connection } = ask(0);
    peer.say(settings);
    expect(connection.canSwitchProtocols).toBe(false);
    expect(() => connection.request({ ...head, upgrade: 'websocket' }, new Result())).toThrow(
      'extended-connect',
    );
  });
});

describe('both', () => {
  /** What one says the other hears, a turn later. */
  function pair(answer: (exchange: ServerExchange) => void): HttpClientConnection {
    const near = new MemoryTransport();
    const far = new MemoryTransport();
    const receive = () => ({ onData() {}, onEnd() {}, onAbort() {}, onWritable() {} });
    serveHttp2(
      far,
      {
        onRequest(exchange) {
          answer(exchange);
          return receive();
        },
      },
      { ...DEFAULT_HTTP2_OPTIONS, ...common },
    );
    const connection = connectHttp2(near, {}, { ...DEFAULT_HTTP2_CLIENT_OPTIONS, ...common });
    const sent = { near: 0, far: 0 };
    const carry = () => {
      const up = near.written.subarray(sent.near);
      const down = far.written.subarray(sent.far);
      sent.near += up.length;
      sent.far += down.length;
      if (up.length > 0) far.deliver(up);
      if (down.length > 0) near.deliver(down);
      if (!near.destroyed && !near.ended) setImmediate(carry);
    };
    carry();
    return connection;
  }

  test('switch protocols by extended CONNECT, which looks like the upgrade of HTTP/1.1', async () => {
    let seen: RequestHead | undefined;
    const connection = pair((exchange) => {
      seen = exchange.head;
      const tunnel = exchange.switchProtocols({
        status: 101,
        fields: ['sec-websocket-accept', 'x', 'sec-websocket-protocol', 'chat'],
      });
      tunnel.on('data', (bytes: Buffer) => tunnel.write(String(bytes).toUpperCase()));
      tunnel.on('end', () => tunnel.end());
    });
    await turns();
    const { promise, resolve } = Promise.withResolvers<string>();
    const receiver = Object.assign(new Result(), {
      onSwitched({ fields }: ResponseHead, tunnel: NodeJS.ReadWriteStream) {
        let heard = `${fields.join(' ')}: `;
        tunnel.on('data', (bytes: Buffer) => {
          heard += String(bytes);
        });
        tunnel.on('end', () => resolve(heard));
        tunnel.end('hello');
      },
    });
    const fields = ['sec-websocket-key', 'k', 'sec-websocket-version', '13'];
    connection.request({ ...head, path: '/chat', upgrade: 'websocket', fields }, receiver);
    expect(await promise).toBe('sec-websocket-protocol chat: HELLO');
    expect(seen).toEqual({
      ...head,
      path: '/chat',
      upgrade: 'websocket',
      fields: ['sec-websocket-version', '13'],
    });
    connection.destroy();
  });
});
