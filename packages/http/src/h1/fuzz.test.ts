/** Whatever arrives, in whatever cuts: the same is made of it, and never something else than Node's own parser would. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '../deadlines.ts';
import type { HttpError } from '../errors.ts';
import type { RequestHead } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import { DEFAULT_HTTP1_OPTIONS, DEFAULT_HTTP1_SERVER_OPTIONS } from '../options.ts';
import { MemoryTransport } from '../testing/memory-transport.ts';
import { connectHttp1 } from './client.ts';
import { serveHttp1 } from './server.ts';

const ROUNDS = 3_000;
const deadlines = new Deadlines({ ...systemClock, every: () => ({ cancel() {} }) });

const REQUESTS = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a?b=c HTTP/1.1\r\nHost: a.example:80\r\nAccept: */*\r\nUser-Agent: x y\r\nConnection: keep-alive\r\n\r\n',
  'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n',
  'PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nDELETE /3 HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /old HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabcGET /n HTTP/1.0\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\nX: \r\nX:  y \t\r\n\r\n',
  'GET http://a/abs HTTP/1.1\r\nHost: a\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n',
];
const RESPONSES = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;e\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\nuntil the end',
];
const DICTIONARY = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '\x0b',
  '\x7f',
  '\x80',
  '\r\n\r\n',
  '\r\n ',
  '0\r\n\r\n',
  '5\r\n',
  'ffffffffff\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'content-length:5\r\n',
  'Content-Length : 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding:\r\n chunked\r\n',
  'Transfer_Encoding: chunked\r\n',
  'Host: b\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: h2c\r\n',
  'chunked',
  ', chunked',
  'HTTP/1.0',
  'HTTP/1.1',
  'HTTP/1.2',
  '+',
  '-',
  '0x',
  '00',
  'GET /x HTTP/1.1\r\nHost: a\r\n\r\n',
  'http://',
  '//',
  '#',
  '%00',
  '\\',
]; // prettier-ignore

interface Message {
  readonly head: RequestHead;
  body: string;
  end: string | undefined;
}

/** What our server makes of these pieces; `answers` is what it says. */
function ours(pieces: readonly Buffer[]): { messages: Message[]; refused: string[]; answers: string } {
  const transport = new MemoryTransport();
  const messages: Message[] = [];
  const refused: string[] = [];
  serveHttp1(
    transport,
    {
      onRequest(exchange) {
        const message: Message = {
          head: exchange.head,
          body: '',
          end: exchange.head.endsHere ? '' : undefined,
        };
        messages.push(message);
        if (exchange.head.endsHere) exchange.respond({ status: 204, fields: [] }, true);
        return {
          onData(bytes) {
            message.body += bytes.toString('latin1');
            exchange.credit(bytes.length);
          },
          onEnd(trailers: HeaderFields | undefined) {
            message.end = trailers?.join('|') ?? '';
            exchange.respond({ status: 204, fields: [] }, true);
          },
          onAbort: (error: HttpError) => refused.push(error.reason),
          onWritable() {},
        };
      },
      onRefused: (error) => refused.push(error.reason),
    },
    { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines },
  );
  for (const piece of pieces) transport.deliver(piece);
  expect(transport.uncredited).toBe(0);
  // Which of its faults a message is refused for may depend on how much of it is here.
  const answers = transport.written.toString('latin1').replace(/HTTP\/1.1 [45][0-9][0-9][\s\S]*$/, 'refused');
  return { messages, refused: refused.map(() => 'refused'), answers };
}

interface NodeMessage {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly rawTrailers: readonly string[];
  readonly body: string;
  /** Node came to its end, too. */
  readonly complete: boolean;
}

/** What Node makes of them. */
async function nodes(bytes: Buffer): Promise<{ messages: NodeMessage[]; refused: boolean }> {
  const requests: { request: IncomingMessage; body: string }[] = [];
  const onRequest = (request: IncomingMessage) => {
    const entry = { request, body: '' };
    requests.push(entry);
    request.setEncoding('latin1');
    request.on('error', () => undefined);
    request.on('data', (piece: string) => {
      entry.body += piece;
    });
  };
  const server = createServer();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    onRequest(request);
    response.writeHead(204).end();
  });
  for (const event of ['checkContinue', 'checkExpectation', 'upgrade']) server.on(event, onRequest);
  let refused = false;
  server.on('clientError', () => {
    refused = true;
  });
  const [near, far] = duplexPair() as [Duplex, Duplex];
  for (const side of [near, far]) side.on('error', () => undefined);
  far.resume();
  server.emit('connection', near);
  far.write(bytes);
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
  far.destroy();
  near.destroy();
  const messages = requests.map(
    ({ request: { method = '', url = '', rawHeaders, rawTrailers, complete }, body }) => ({
      method,
      url,
      rawHeaders,
      rawTrailers,
      body,
      complete,
    }),
  );
  return { messages, refused };
}

/** Pairs of a raw header list, names in lower case, values as they are read. */
const pairs = (raw: readonly string[]) =>
  raw.flatMap((text, i) =>
    i % 2 === 0 ? [[text.toLowerCase(), (raw[i + 1] ?? '').replace(/^[\t ]+|[\t ]+$/g, '')] as const] : [],
  );

const NOT_PASSED_ON = new Set([
  'host',
  'connection',
  'transfer-encoding',
  'te',
  'upgrade',
  'expect',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
]);

function expectSame(message: Message, node: NodeMessage, input: string): void {
  const { head, body, end } = message;
  const url = node.url.replace(/^https?:\/\/[^/?]*/i, '');
  const path =
    url.startsWith('/') || url === '*' ? url : head.method === 'OPTIONS' && url === '' ? '*' : `/${url}`;
  expect({ input, method: head.method, path: head.path, body }).toEqual({
    input,
    method: node.method,
    path,
    body: node.body,
  });
  const named = pairs(node.rawHeaders)
    .filter(([name]) => name === 'connection')
    .flatMap(([, value]) => value.toLowerCase().split(/[ \t]*,[ \t]*/));
  const passed = pairs(node.rawHeaders).filter(([name]) => !NOT_PASSED_ON.has(name) && !named.includes(name));
  const fields = head.fields.flatMap((text, i) =>
    i % 2 === 0 && text !== 'te' ? [[text, head.fields[i + 1] ?? ''] as const] : [],
  );
  expect({ input, fields }).toEqual({ input, fields: passed });
  const host = pairs(node.rawHeaders).filter(([name]) => name === 'host');
  if (head.version === '1.1') expect(host).toHaveLength(1);
  expect({ input, end }).toEqual({ input, end: pairs(node.rawTrailers).flat().join('|') });
}

describe(`${ROUNDS} rounds`, () => {
  test('a request that we take, Node takes as the same; in any cuts we take the same', async () => {
    const chance = fuzzing(1);
    let taken = 0;
    let refusals = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = chance.mutate(Buffer.from(chance.pick(REQUESTS), 'latin1'), DICTIONARY);
      const whole = ours([bytes]);
      const input = JSON.stringify(bytes.toString('latin1'));
      const cut = ours(chance.cut(bytes));
      expect({ input, ...cut }).toEqual({ input, ...whole });
      refusals += whole.refused.length;
      const complete = whole.messages.filter(({ end }) => end !== undefined);
      taken += complete.length;
      const isKnown = complete.every(({ head }) => /^(GET|POST|PUT|DELETE|OPTIONS)$/.test(head.method));
      if (complete.length === 0 || !isKnown) continue;
      const theirs = await nodes(bytes);
      complete.forEach((message, i) => {
        const node = theirs.messages[i];
        if (node?.complete) expectSame(message, node, input);
        else expect({ input, isRefusedByNode: theirs.refused }).toEqual({ input, isRefusedByNode: true });
      });
    }
    expect(taken).toBeGreaterThan(ROUNDS / 8);
    expect(refusals).toBeGreaterThan(ROUNDS / 4);
  });

  test('a response is taken the same in any cuts', () => {
    const chance = fuzzing(2);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = chance.mutate(Buffer.from(chance.pick(RESPONSES), 'latin1'), DICTIONARY);
      const ends = chance.below(2) === 0;
      const input = JSON.stringify(bytes.toString('latin1'));
      expect({ input, events: answerOf(chance.cut(bytes), ends) }).toEqual({
        input,
        events: answerOf([bytes], ends),
      });
    }
  });
});

/** What our client makes of these pieces. */
function answerOf(pieces: readonly Buffer[], ends: boolean): string[] {
  const transport = new MemoryTransport();
  const events: string[] = [];
  const connection = connectHttp1(transport, {}, { ...DEFAULT_HTTP1_OPTIONS, deadlines });
  let body = '';
  const head: RequestHead = {
    method: 'GET',
    scheme: 'http',
    authority: 'a',
    path: '/',
    version: '1.1',
    fields: [],
    upgrade: undefined,
    expectsContinue: false,
    endsHere: true,
  };
  const exchange = connection.request(head, {
    onInformational: ({ status, fields }) => events.push(`${status} ${fields.join('|')}`),
    onResponse: ({ status, fields }, endsHere) => events.push(`${status} ${fields.join('|')} ${endsHere}`),
    onData(bytes) {
      body += bytes.toString('latin1');
      exchange.credit(bytes.length);
    },
    onEnd: (trailers) => events.push(`end ${trailers?.join('|') ?? ''}`),
    onAbort: () => events.push('abort'),
    onWritable() {},
  });
  for (const piece of pieces) transport.deliver(piece);
  if (ends) transport.deliverEnd();
  return [...events, body];
}
