/** Whatever frames arrive, in whatever cuts: the same is made of them, and nothing but an error that is meant ends the connection. */
import { describe, expect, test } from '@jest/globals';
import { fuzzing, type Seeded } from '@ambit/core/testing/seeded';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '../deadlines.ts';
import type { RequestHead } from '../exchange.ts';
import { DEFAULT_HTTP2_CLIENT_OPTIONS, DEFAULT_HTTP2_OPTIONS } from '../options.ts';
import { MemoryTransport } from '../testing/memory-transport.ts';
import { connectHttp2 } from './client.ts';
import { serveHttp2 } from './server.ts';

const ROUNDS = 1_500;
const clock = { ...systemClock, every: () => ({ cancel() {} }), after: () => ({ cancel() {} }) };
const deadlines = new Deadlines(clock);
const HEADER_BYTES = 9;

const head: RequestHead = {
  method: 'POST',
  scheme: 'http',
  authority: 'a.example',
  path: '/x?y=z',
  version: '2',
  fields: ['accept', '*/*', 'user-agent', 'fuzz', 'cookie', 'a=b', 'te', 'trailers'],
  upgrade: undefined,
  expectsContinue: false,
  endsHere: false,
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What a client says that asks three times; and what a server answers. */
async function conversation(): Promise<{ client: Buffer; server: Buffer }> {
  const near = new MemoryTransport();
  const far = new MemoryTransport();
  const client = connectHttp2(near, {}, { ...DEFAULT_HTTP2_CLIENT_OPTIONS, clock, deadlines });
  const ignore = {
    onInformational() {},
    onResponse() {},
    onData() {},
    onEnd() {},
    onAbort() {},
    onWritable() {},
  };
  const first = client.request(head, ignore);
  first.write(Buffer.from('hello '));
  first.write(Buffer.from('world'));
  first.end(['x-sum', '1']);
  client.request({ ...head, method: 'GET', endsHere: true, fields: [] }, ignore);
  client.request({ ...head, fields: ['content-length', '3'] }, ignore).write(Buffer.from('abc'));
  await turn();
  const asked = near.written;
  serveHttp2(
    far,
    {
      onRequest(exchange) {
        exchange.informational({ status: 103, fields: ['link', 'x'] });
        exchange.respond({ status: 200, fields: ['server', 'fuzz', 'set-cookie', 'a=b'] }, false);
        exchange.write(Buffer.from('an answer'));
        exchange.end(['grpc-status', '0']);
        return { onData() {}, onEnd() {}, onAbort() {}, onWritable() {} };
      },
    },
    { ...DEFAULT_HTTP2_OPTIONS, clock, deadlines },
  );
  far.deliver(asked);
  await turn();
  return { client: asked, server: far.written };
}

/** Changes a few frames: octets anywhere, types, flags, lengths, whole frames twice or not at all. */
function disturb(chance: Seeded, bytes: Buffer, from: number): Buffer {
  const frames: Buffer[] = [bytes.subarray(0, from)];
  for (let at = from; at + HEADER_BYTES <= bytes.length; ) {
    const to = at + HEADER_BYTES + bytes.readUIntBE(at, 3);
    frames.push(Buffer.from(bytes.subarray(at, to)));
    at = to;
  }
  for (let changes = chance.below(4); changes > 0; changes--) {
    const i = 1 + chance.below(frames.length - 1);
    const frame = frames[i] ?? Buffer.alloc(0);
    switch (chance.below(5)) {
      case 0:
        frames.splice(i, 0, Buffer.from(frame));
        break;
      case 1:
        frames.splice(i, 1);
        break;
      case 2:
        if (frame.length > 4) frame[3 + chance.below(2)] = chance.below(16);
        break;
      case 3:
        if (frame.length > 8) frame[8] = chance.below(8);
        break;
      default:
        if (frame.length > 0) frame[chance.below(frame.length)] = chance.below(256);
    }
    if (frames.length < 2) break;
  }
  return Buffer.concat(frames);
}

/** What our server hears in these pieces. */
function heard(pieces: readonly Buffer[]): string[] {
  const transport = new MemoryTransport();
  const messages: string[] = [];
  serveHttp2(
    transport,
    {
      onRequest(exchange) {
        const { method, path, authority, fields } = exchange.head;
        const at = messages.push(`${method} ${authority} ${path} ${fields.join('|')} `) - 1;
        return {
          onData(bytes) {
            messages[at] += bytes.toString('latin1');
            exchange.credit(bytes.length);
          },
          onEnd: (trailers) => {
            messages[at] += ` end ${trailers?.join('|') ?? ''}`;
          },
          onAbort: (error) => {
            messages[at] += ` abort ${error.kind}`;
          },
          onWritable() {},
        };
      },
      onRefused: (error) => messages.push(error.kind),
    },
    { ...DEFAULT_HTTP2_OPTIONS, clock, deadlines },
  );
  for (const piece of pieces) transport.deliver(piece);
  expect(transport.uncredited).toBeLessThanOrEqual(0);
  return messages;
}

/** What our client hears. */
function answered(pieces: readonly Buffer[]): string[] {
  const transport = new MemoryTransport();
  const connection = connectHttp2(transport, {}, { ...DEFAULT_HTTP2_CLIENT_OPTIONS, clock, deadlines });
  const messages = ['', '', ''];
  messages.forEach((_, i) => {
    const add = (text: string) => {
      messages[i] += text;
    };
    const exchange = connection.request(head, {
      onInformational: ({ status, fields }) => add(`${status} ${fields.join('|')} `),
      onResponse: ({ status, fields }) => add(`${status} ${fields.join('|')} `),
      onData(bytes) {
        add(bytes.toString('latin1'));
        exchange.credit(bytes.length);
      },
      onEnd: (trailers) => add(` end ${trailers?.join('|') ?? ''}`),
      onAbort: (error) => add(` abort ${error.kind}`),
      onWritable() {},
    });
  });
  for (const piece of pieces) transport.deliver(piece);
  return messages;
}

describe(`${ROUNDS} rounds`, () => {
  test('frames of a client', async () => {
    const chance = fuzzing(1);
    const { client } = await conversation();
    const whole = heard([client]);
    expect(whole).toEqual([
      'POST a.example /x?y=z accept|*/*|user-agent|fuzz|te|trailers|cookie|a=b hello world end x-sum|1',
      'GET a.example /x?y=z  ',
      'POST a.example /x?y=z content-length|3 abc',
    ]);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = disturb(chance, client, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.length);
      const input = bytes.toString('base64');
      expect({ input, heard: heard(chance.cut(bytes)) }).toEqual({ input, heard: heard([bytes]) });
    }
  });

  test('frames of a server', async () => {
    const chance = fuzzing(2);
    const { server } = await conversation();
    const answer = '103 link|x 200 server|fuzz|set-cookie|a=b an answer end grpc-status|0';
    expect(answered([server])).toEqual([answer, answer, answer]);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = disturb(chance, server, 0);
      const input = bytes.toString('base64');
      expect({ input, answered: answered(chance.cut(bytes)) }).toEqual({
        input,
        answered: answered([bytes]),
      });
    }
  });
});
