import { type Duplex, duplexPair } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { StreamDuplex } from '@ambit/http/h2/stream-duplex';
import { H2 } from '@ambit/http/h2/protocol';
import { DEFAULT_SESSION_OPTIONS, H2Session } from '@ambit/http/h2/session';
import type { H2Stream } from '@ambit/http/h2/stream';
import { acceptFields, connectFields } from './headers.ts';
import { DuplexTransport } from '@ambit/http/transport/duplex-transport';

const options = { ...DEFAULT_SESSION_OPTIONS, clock: systemClock };
const headers = {
  authority: '10.0.0.1:80',
  baggage: '',
  client: { ip: '10.0.0.9', port: 1 },
  host: undefined,
  traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`,
  sourceNetwork: undefined,
};

/** Both ends of one stream, as Duplexes, over two sessions that talk to each other. */
async function tunnel(): Promise<{
  client: StreamDuplex;
  server: StreamDuplex;
  stream: H2Stream;
  sessions: H2Session[];
}> {
  const [a, b] = duplexPair() as [Duplex, Duplex];
  const accepted = Promise.withResolvers<StreamDuplex>();
  const server = new H2Session(
    'server',
    new DuplexTransport(b, 'client'),
    {
      onStream(stream) {
        stream.respond(acceptFields(''), false);
        const duplex = new StreamDuplex(stream);
        accepted.resolve(duplex);
        return duplex;
      },
      onClosed() {},
    },
    options,
  );
  const session = new H2Session('client', new DuplexTransport(a, 'server'), { onClosed() {} }, options);
  const opened = Promise.withResolvers<StreamDuplex>();
  const stream = session.request(connectFields(headers), {
    onHeaders: (answered) => opened.resolve(new StreamDuplex(answered)),
    onData() {},
    onEnd() {},
    onReset: (_, error) => opened.reject(error),
    onWritable() {},
  });
  return {
    client: await opened.promise,
    server: await accepted.promise,
    stream,
    sessions: [session, server],
  };
}

/** All that comes, without destroying the stream afterwards as `toArray` does. */
const all = (duplex: Duplex) =>
  new Promise<Buffer>((resolve) => {
    const pieces: Buffer[] = [];
    duplex
      .on('data', (piece: Buffer) => pieces.push(piece))
      .once('end', () => resolve(Buffer.concat(pieces)));
  });
const text = async (duplex: Duplex) => String(await all(duplex));

describe('a stream as a Duplex', () => {
  test('ends each direction by itself', async () => {
    const { client, server, sessions } = await tunnel();
    client.end('question');
    expect(await text(server)).toBe('question');
    server.end('answer');
    expect(await text(client)).toBe('answer');
    for (const session of sessions) {
      await new Promise((resolve) => setImmediate(resolve));
      expect(session.openStreams).toBe(0);
    }
  });

  test('carries more than its windows, unharmed', async () => {
    const { client, server } = await tunnel();
    const sent = Buffer.alloc(12 * 1024 * 1024);
    for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(i, i);
    client.end(sent);
    const received = await all(server);
    expect(received.equals(sent)).toBe(true);
  });

  test('a reader that does not read holds the writer back', async () => {
    const { client, stream } = await tunnel();
    for (let i = 0; i < 32; i++) client.write(Buffer.alloc(1024 * 1024));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(stream.sendWindow).toBeGreaterThanOrEqual(0);
    expect(client.writableLength).toBeGreaterThan(24 * 1024 * 1024);
  });

  test('destroying one end resets the other', async () => {
    const { client, server } = await tunnel();
    const failed = new Promise<Error>((resolve) => server.once('error', resolve));
    server.resume();
    client.on('error', () => undefined);
    client.destroy(new Error('gone'));
    expect(await failed).toMatchObject({ code: 'STREAM_RESET', h2Code: H2.internalError });
  });

  test('a clean reset reads as the end', async () => {
    const { client, server } = await tunnel();
    server.on('error', () => undefined);
    client.destroy();
    expect(await text(server)).toBe('');
  });
});
