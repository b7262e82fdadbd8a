import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { DEADLINE_TICK_MS, Deadlines } from '../deadlines.ts';
import type { HttpError } from '../errors.ts';
import type {
  BodyReceiver,
  HttpServerConnection,
  RequestHead,
  ResponseReceiver,
  ServerExchange,
} from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import { LINGER_MS, PIPELINED_BYTES, SEND_QUEUE_BYTES } from '../limits.ts';
import { DEFAULT_HTTP1_OPTIONS, DEFAULT_HTTP1_SERVER_OPTIONS, type Http1ServerOptions } from '../options.ts';
import { MemoryTransport } from '../testing/memory-transport.ts';
import { connectTransport, listenTransports, type TransportServer } from '../testing/plain-pair.ts';
import { connectHttp1 } from './client.ts';
import { serveHttp1 } from './server.ts';

const deadlines = new Deadlines(systemClock);
const open: (AsyncDisposable | Socket)[] = [];
afterEach(async () => {
  for (const thing of open.splice(0)) {
    if (Symbol.asyncDispose in thing && !('write' in thing)) await thing[Symbol.asyncDispose]();
    else (thing as Socket).destroy();
  }
});

/** What happened to one exchange, in order. */
class Recorder implements BodyReceiver {
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
  onWritable() {
    this.events.push('writable');
  }
}

interface Server extends TransportServer {
  readonly connections: HttpServerConnection[];
  readonly recorders: Recorder[];
  readonly refused: string[];
  readonly closed: (Error | undefined)[];
}

async function serve(
  answer: (exchange: ServerExchange, recorder: Recorder) => void,
  options: Partial<Http1ServerOptions> = {},
): Promise<Server> {
  const about = {
    connections: [] as HttpServerConnection[],
    recorders: [] as Recorder[],
    refused: [] as string[],
    closed: [] as (Error | undefined)[],
  };
  const server = await listenTransports((transport) => {
    const connection = serveHttp1(
      transport,
      {
        onRequest(exchange) {
          const recorder = new Recorder(exchange);
          about.recorders.push(recorder);
          answer(exchange, recorder);
          return recorder;
        },
        onRefused: (error) => about.refused.push(error.reason),
        onClosed: (error) => about.closed.push(error),
      },
      { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines, ...options },
    );
    about.connections.push(connection);
  });
  open.push(server);
  return Object.assign(server, about);
}

function client(server: TransportServer, allowHalfOpen = true): Socket {
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen });
  socket.on('error', () => undefined);
  open.push(socket);
  return socket;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 10_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  if (!holds()) throw new Error(`waited in vain until ${what}`);
}

/** What the server says to these bytes, until it ends the connection. */
async function answerTo(server: TransportServer, ...pieces: readonly string[]): Promise<string> {
  const socket = client(server);
  for (const piece of pieces) {
    socket.write(piece, 'latin1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  return text(socket);
}

const ok = (fields: HeaderFields = []) => ({ status: 200, fields });
const say = (exchange: ServerExchange, body: string) => {
  exchange.respond(ok(['content-length', String(body.length)]), body === '');
  if (body === '') return;
  exchange.write(Buffer.from(body));
  exchange.end();
};
/** A server whose only client is the test itself. */
function alone(answer: (exchange: ServerExchange) => void = () => undefined, clock: Clock = systemClock) {
  const transport = new MemoryTransport();
  const refused: string[] = [];
  serveHttp1(
    transport,
    {
      onRequest(exchange) {
        const recorder = new Recorder(exchange);
        answer(exchange);
        return recorder;
      },
      onRefused: (error) => refused.push(error.reason),
    },
    { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines: new Deadlines(clock) },
  );
  return { transport, refused };
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';

describe('a server', () => {
  test('answers requests that are pipelined in order, whenever their answers come', async () => {
    const waiting: ServerExchange[] = [];
    const server = await serve((exchange) => waiting.push(exchange));
    const socket = client(server);
    socket.write(['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    const answer = text(socket);
    for (const path of ['/1', '/2', '/3']) {
      await until(() => waiting.length === 1, `${path} is here`);
      const exchange = waiting.shift();
      expect(exchange?.head.path).toBe(path);
      if (path === '/3') server.connections[0]?.drain();
      if (exchange) say(exchange, path);
    }
    expect(await answer).toBe(
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/1HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/2' +
        'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/3',
    );
  });

  const framings: Record<string, { request: string; body?: string; head?: HeaderFields; want: string }> = {
    'chunks for a body of unknown length': {
      request: GET,
      body: 'hello',
      want: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n',
    },
    'the end of the connection for an old client': {
      request: 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n',
      body: 'hello',
      want: 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello',
    },
    'a length of 0 when there is no body': {
      request: GET,
      want: 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    },
    'only fields to HEAD': {
      request: 'HEAD / HTTP/1.1\r\nHost: a\r\n',
      head: ['content-length', '17'],
      want: 'HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n',
    },
  };
  test.each(Object.entries(framings))('sends %s', async (_, { request, body, head = [], want }) => {
    const server = await serve((exchange) => {
      exchange.respond(ok(head), body === undefined);
      if (body === undefined) return;
      exchange.write(Buffer.from(body));
      exchange.end(['a', 'b']);
    });
    expect(await answerTo(server, `${request.replace(/$/, '')}Connection: close\r\n\r\n`)).toBe(want);
  });

  test('reads bodies in any cuts, with trailers', async () => {
    const server = await serve((exchange) => say(exchange, ''));
    const request =
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x="y"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n' +
      'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc';
    const late = await serve((exchange, recorder) => {
      const { onEnd } = recorder;
      recorder.onEnd = (trailers) => {
        onEnd.call(recorder, trailers);
        say(exchange, 'x');
      };
    });
    await answerTo(late, ...request.split(''));
    const whole = late.recorders.map(({ events }) =>
      events.join('|').replaceAll('|data ', '').replace('data ', ''),
    );
    expect(whole).toEqual(['hello0123456789|end x-sum 1 y 2', 'abc|end']);
    expect(await answerTo(server, request)).toContain('200 OK');
  });

  test('tells a client to go on when the handler does, and old ones nothing', async () => {
    const server = await serve((exchange) => {
      exchange.informational({ status: 100, fields: [] });
      exchange.informational({ status: 103, fields: ['link', '</x>'] });
      say(exchange, 'x');
    });
    const post = 'Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n';
    expect(await answerTo(server, `POST / HTTP/1.1\r\nHost: a\r\n${post}`)).toBe(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx',
    );
    expect(await answerTo(server, `POST / HTTP/1.0\r\n${post}`)).toMatch(/^HTTP\/1.1 200 OK/);
  });

  test('ends the connection after an answer that spares the client its body', async () => {
    const server = await serve((exchange) => say(exchange, 'no'));
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n';
    expect(await answerTo(server, request)).toContain('connection: close');
  });

  test('drops what is left of a short request that was answered early, and goes on', async () => {
    const server = await serve((exchange) => say(exchange, exchange.head.path));
    const answer = await answerTo(
      server,
      'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234',
      '56789GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(answer.match(/^\/[12]/gm)).toEqual(['/1', '/2']);
    expect(server.recorders[0]?.events).toEqual([]);
  });

  test('ends the connection when what is left of an answered request is long', async () => {
    const server = await serve((exchange) => say(exchange, 'early'));
    const socket = client(server);
    socket.write('POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n');
    const answer = text(socket);
    for (let i = 0; i < 20; i++) socket.write(Buffer.alloc(10_000));
    expect(await answer).toMatch(/connection: close\r\n\r\nearly$/);
  });

  test.each(['at once', 'later'])(
    'reads no more of a client that does not read, answered %s',
    async (when) => {
      const transport = new MemoryTransport();
      const nothing = { onData() {}, onEnd() {}, onAbort() {}, onWritable() {} };
      let asked = 0;
      const onRequest = (exchange: ServerExchange) => {
        asked++;
        const answer = () => say(exchange, 'x'.repeat(10_000));
        if (when === 'at once') answer();
        else queueMicrotask(answer);
        return nothing;
      };
      const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
      serveHttp1(transport, { onRequest }, { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines });
      transport.reads = false;
      transport.deliver(Buffer.from(`${GET}\r\n`.repeat(50)));
      await turn();
      transport.deliver(Buffer.from(`${GET}\r\n`.repeat(50)));
      await turn();
      expect(asked).toBe(Math.ceil(SEND_QUEUE_BYTES / 10_000));
      expect(transport.uncredited).toBeGreaterThan(90 * GET.length);
      transport.drain();
      await turn();
      await turn();
      expect([asked, transport.uncredited]).toEqual([100, 0]);
      expect(transport.written.toString('latin1').split('HTTP/1.1 200 OK').length).toBe(101);
    },
  );

  test('reads each line of a head that trickles in once', () => {
    const { transport, refused } = alone();
    const lines = 500;
    transport.deliver(Buffer.from(`GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(lines)}`));
    const looked = jest.spyOn(Buffer.prototype, 'indexOf');
    const octets = 500;
    for (let i = 0; i < octets; i++) transport.deliver(Buffer.from('x'));
    expect(looked.mock.calls.length).toBeLessThan(octets * 4);
    looked.mockRestore();
    expect(refused).toEqual([]);
  });

  test('keeps trailers that trickle in in one place, not in one for each octet', () => {
    const { transport, refused } = alone();
    transport.deliver(
      Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: '),
    );
    const copied = jest.spyOn(Buffer, 'from');
    const octets = 1_000;
    for (let i = 0; i < octets; i++) transport.deliver(Buffer.alloc(1, 'y'));
    // One is the delivery's own.
    expect(copied.mock.calls.length).toBeLessThan(1.5 * octets);
    copied.mockRestore();
    expect(refused).toEqual([]);
  });

  test('still sees a line that ends wrongly where two pieces of a head meet', () => {
    const { transport, refused } = alone();
    for (const piece of ['GET / HTTP/1.1\r\nHost: a', '\nX: y']) transport.deliver(Buffer.from(piece));
    expect(refused).toEqual(['bare-lf']);
  });

  test('lets a client take the last answer as slowly as it likes, then a moment to end its side', async () => {
    const clock = new FakeClock();
    const { transport } = alone((exchange) => say(exchange, 'x'.repeat(100)), clock);
    transport.reads = false;
    transport.deliver(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
    await clock.advance(60_000);
    expect([transport.ended, transport.destroyed]).toEqual([false, false]);
    transport.drain();
    expect(transport.written.toString()).toContain('x'.repeat(100));
    expect([transport.ended, transport.destroyed]).toEqual([true, false]);
    await clock.advance(LINGER_MS + 2 * DEADLINE_TICK_MS);
    expect(transport.left).toBe(true);
  });

  test('takes nothing back of what it sent to a client that reads late', async () => {
    const body = 'x'.repeat(1_000_000);
    const server = await serve((exchange) => {
      exchange.respond(ok(['content-length', String(body.length)]), false);
      exchange.write(Buffer.from(body));
      exchange.end();
    });
    const socket = client(server);
    socket.pause();
    socket.write(`${GET}Connection: close\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS + 3 * DEADLINE_TICK_MS));
    expect((await text(socket)).length).toBeGreaterThan(body.length);
  });

  test('drops a client that sends far ahead of its turn, after it has answered', async () => {
    const transport = new MemoryTransport();
    const waiting: ServerExchange[] = [];
    const nothing = { onData() {}, onEnd() {}, onAbort() {}, onWritable() {} };
    const onRequest = (exchange: ServerExchange) => {
      waiting.push(exchange);
      return nothing;
    };
    serveHttp1(transport, { onRequest }, { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines });
    transport.deliver(Buffer.from(`${GET}\r\n`));
    for (let i = 0; i < 9; i++) transport.deliver(Buffer.alloc(PIPELINED_BYTES / 8, 'x'));
    expect(transport.uncredited).toBe(0);
    if (waiting[0]) say(waiting[0], 'answer');
    expect([waiting.length, transport.ended]).toEqual([1, true]);
    expect(transport.written.toString('latin1')).toMatch(/connection: close\r\n\r\nanswer$/);
  });

  test('hands the connection over when it switches protocols, with what came already', async () => {
    const server = await serve((exchange) => {
      const tunnel = exchange.switchProtocols({ status: 101, fields: ['sec-websocket-accept', 'x'] });
      tunnel.on('data', (bytes: Buffer) => tunnel.write(String(bytes).toUpperCase()));
      tunnel.on('end', () => tunnel.end('bye'));
    });
    const socket = client(server);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhel');
    await once(socket, 'data');
    socket.end('lo');
    expect(await text(socket)).toMatch(/LObye$/);
    await until(() => server.closed.length === 1, 'the connection is closed');
    expect(server.closed).toEqual([undefined]);
  });

  test('aborts an exchange whose client goes away, or answers it if told that it only ended its side', async () => {
    const gone = await serve(() => undefined);
    client(gone).end(`${GET}\r\n`);
    await until(() => gone.recorders[0]?.events.length === 1, 'it is aborted');
    expect(gone.recorders[0]?.events).toEqual(['abort closed client-went-away']);
    const patient = await serve((exchange) => setTimeout(() => say(exchange, 'late'), 30), {
      halfClose: 'answer',
    });
    const socket = client(patient);
    socket.end(`${GET}\r\n`);
    expect(await text(socket)).toMatch(/late$/);
  });

  test('cuts a body that is not as long as announced', async () => {
    const server = await serve((exchange) => {
      exchange.respond(ok(['content-length', '3']), false);
      exchange.write(Buffer.from('ab'));
      exchange.end();
    });
    const socket = client(server);
    socket.write(`${GET}\r\n`);
    socket.resume();
    await until(() => server.closed.length === 1 && socket.destroyed, 'the connection is cut');
    await until(() => server.recorders[0]?.events.length === 1, 'the handler knows');
    expect(server.recorders[0]?.events).toEqual(['abort protocol body-shorter-than-announced']);
  });

  test.each([
    ['a value', ['x', 'a\r\nSet-Cookie: b']],
    ['a name', ['x: y\r\nz', 'a']],
    ['a value of more than Latin-1', ['x', '\u560a\u560d']],
    ['a lone line feed', ['x', 'a\nb']],
  ])('lets nothing out that would end a line early: %s', async (_, fields) => {
    let problem: unknown;
    const server = await serve((exchange) => {
      try {
        exchange.respond(ok(fields), true);
      } catch (error) {
        problem = error;
        exchange.respond({ status: 500, fields: ['connection-was', 'kept'] }, true);
      }
    });
    expect(await answerTo(server, `${GET}Connection: close\r\n\r\n`)).toBe(
      'HTTP/1.1 500 Internal Server Error\r\nconnection-was: kept\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    );
    expect(problem).toMatchObject({ reason: 'illegal-outgoing-field' });
  });

  describe('refuses', () => {
    const cases: Record<string, { pieces: string[]; want: string }> = {
      'what is no request': { pieces: ['\x16\x03\x01\x02\r\n\r\n'], want: '400 illegal-method' },
      'a bare LF before the head is whole': { pieces: ['GET / HTTP/1.1\nHost: a\n\n'], want: '400 bare-lf' },
      'an endless line': { pieces: ['GET /', 'a'.repeat(20_000)], want: '414 request-line-too-long' },
      'an endless head': {
        pieces: [GET, ...Array<string>(8).fill(`X: ${'a'.repeat(8_000)}\r\n`)],
        want: '431 header-too-large',
      },
      'a chunk size that overflows': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n`, '1000000000000\r\n'],
        want: '400 chunk-size-overflow',
      },
      'a chunk size with a sign': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n-1\r\n`],
        want: '400 illegal-chunk-size',
      },
      'a chunk size with 0x': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n0x1\r\n`],
        want: '400 illegal-chunk-size',
      },
      'a chunk size with a space': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n1 \r\n`],
        want: '400 illegal-chunk-size',
      },
      'no chunk size': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n\r\n`],
        want: '400 illegal-chunk-size',
      },
      'a chunk line that ends in LF': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n1\na\r\n`],
        want: '400 illegal-chunk-size',
      },
      'a chunk extension with LF': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n1;a\nx\r\n`],
        want: '400 illegal-chunk-extension',
      },
      'an endless chunk extension': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n1;`, 'a'.repeat(300)],
        want: '400 chunk-extension-too-long',
      },
      'many chunk extensions': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n`, `1;${'a'.repeat(200)}\r\nx\r\n`.repeat(60)],
        want: '400 chunk-extension-too-long',
      },
      'data longer than its chunk': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`],
        want: '400 illegal-chunk-end',
      },
      'a chunk that ends in LF': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n1\r\na\n`],
        want: '400 illegal-chunk-end',
      },
      'a trailer that frames': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n`],
        want: '400 illegal-trailer',
      },
      'a trailer that routes': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n`],
        want: '400 illegal-trailer',
      },
      'a trailer that authorizes': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: b\r\n\r\n`],
        want: '400 illegal-trailer',
      },
      'a trailer with a bare LF': {
        pieces: [`${GET}Transfer-Encoding: chunked\r\n\r\n0\r\na: b\n\r\n`],
        want: '400 bare-lf',
      },
      'endless trailers': {
        pieces: [
          `${GET}Transfer-Encoding: chunked\r\n\r\n0\r\n`,
          ...Array<string>(8).fill(`X: ${'a'.repeat(8_000)}\r\n`),
        ],
        want: '431 trailers-too-large',
      },
    };
    test.each(Object.entries(cases))('%s', async (_, { pieces, want }) => {
      const server = await serve(() => undefined);
      const answer = await answerTo(server, ...pieces);
      const [status, reason] = want.split(' ');
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*connection: close\r\n\r\n${reason}\n$`));
      const aborts = server.recorders.flatMap(({ events }) =>
        events.filter((event) => event.startsWith('abort')),
      );
      expect([...server.refused, ...aborts]).toEqual([expect.stringContaining(reason ?? '')]);
    });
  });

  test('answers 408 to a head that does not come to its end, and lets an idle connection go', async () => {
    const server = await serve(() => undefined, { headerTimeoutMs: 1, idleTimeoutMs: 1 });
    expect(await answerTo(server, 'GET / HTTP/1.1\r\n', 'Host: a')).toMatch(/^HTTP\/1.1 408 Request Timeout/);
    expect(await answerTo(server)).toBe('');
  });
});

describe('a client', () => {
  const request: RequestHead = {
    method: 'GET',
    scheme: 'http',
    authority: 'b.example',
    path: '/x',
    version: '1.1',
    fields: ['accept', '*/*'],
    upgrade: undefined,
    expectsContinue: false,
    endsHere: true,
  };

  class Result implements ResponseReceiver {
    readonly events: string[] = [];
    credit: (bytes: number) => void = () => undefined;
    onInformational(head: { status: number }) {
      this.events.push(`informational ${head.status}`);
    }
    onResponse(head: { status: number; fields: HeaderFields }, endsHere: boolean) {
      this.events.push(`${head.status} ${head.fields.join(' ')}${endsHere ? ' ends' : ''}`);
    }
    onData(bytes: Buffer) {
      this.events.push(`data ${String(bytes)}`);
      this.credit(bytes.length);
    }
    onEnd(trailers: HeaderFields | undefined) {
      this.events.push(`end ${trailers?.join(' ') ?? ''}`);
    }
    onAbort(error: HttpError) {
      this.events.push(`abort ${error.kind} ${error.reason}`);
    }
    onWritable() {}
  }

  /** A server that says `script` to whatever it hears, and what came of asking it. */
  async function ask(script: readonly string[], heads: readonly RequestHead[] = [request], ends = false) {
    let asked = '';
    const server = await listenTransports((transport) => {
      let turn = 0;
      transport.start({
        onBytes(bytes) {
          asked += String(bytes);
          transport.credit(bytes.length);
          if (turn < script.length) transport.write(Buffer.from(script[turn++] ?? '', 'latin1'));
          if (ends) transport.end();
        },
        onIdle() {},
        onClosed() {},
      });
    });
    open.push(server);
    let closed = false;
    const connection = connectHttp1(
      await connectTransport(server.port),
      {
        onClosed: () => {
          closed = true;
        },
      },
      { ...DEFAULT_HTTP1_OPTIONS, deadlines },
    );
    const results: Result[] = [];
    for (const head of heads) {
      const result = new Result();
      results.push(result);
      const exchange = connection.request(head, result);
      result.credit = (bytes) => exchange.credit(bytes);
      await until(() => result.events.some((event) => /end|abort/.test(event)), 'an answer is whole');
    }
    return { asked, results: results.map(({ events }) => events), connection, isClosed: () => closed };
  }

  const answers: Record<
    string,
    { script: string; want: string[]; kept: boolean; head?: Partial<RequestHead>; ends?: boolean }
  > = {
    'of a length': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nhi',
      want: ['200 content-length 2 a b', 'data hi', 'end '],
      kept: true,
    },
    'in chunks with trailers': {
      script: 'HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n',
      want: ['200 ', 'data hi', 'end t 1'],
      kept: true,
    },
    'until the connection ends': {
      script: 'HTTP/1.1 200 \r\n\r\nhi',
      want: ['200 ', 'data hi', 'end '],
      kept: false,
      ends: true,
    },
    'of an old server': {
      script: 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n',
      want: ['200 content-length 0 ends'],
      kept: false,
    },
    'of an old server that keeps the connection': {
      script: 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n',
      want: ['200 content-length 0 ends'],
      kept: true,
    },
    'after informational ones': {
      script:
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
      want: ['informational 100', 'informational 103', '204  ends'],
      kept: true,
    },
    'to HEAD': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      head: { method: 'HEAD' },
      want: ['200 content-length 5 ends'],
      kept: true,
    },
    'that says nothing changed': {
      script: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      want: ['304 content-length 5 ends'],
      kept: true,
    },
    'that says close': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
      want: ['200 content-length 0 ends'],
      kept: false,
    },
    'with more than was asked for': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      want: ['200 content-length 1', 'data a', 'end '],
      kept: false,
    },
  };
  test.each(Object.entries(answers))(
    'takes an answer %s',
    async (_, { script, want, kept, head = {}, ends = false }) => {
      const { results, connection, isClosed } = await ask([script], [{ ...request, ...head }], ends);
      expect(results).toEqual([want]);
      expect(connection.canRequest).toBe(kept);
      if (!kept) await until(isClosed, 'the connection is closed');
    },
  );

  test('gives up a kept connection that says something by itself', async () => {
    const transport = new MemoryTransport();
    const connection = connectHttp1(transport, {}, { ...DEFAULT_HTTP1_OPTIONS, deadlines });
    expect(connection.canRequest).toBe(true);
    transport.deliver(Buffer.from('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n'));
    expect([connection.canRequest, transport.destroyed]).toEqual([false, true]);
    await Promise.resolve();
  });

  test('asks again on the same connection, and says what it asks', async () => {
    const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
    const { asked, connection } = await ask(
      [answer, answer],
      [request, { ...request, method: 'POST', fields: ['te', 'trailers'], upgrade: 'x' }],
    );
    expect(asked).toBe(
      'GET /x HTTP/1.1\r\nhost: b.example\r\naccept: */*\r\n\r\n' +
        'POST /x HTTP/1.1\r\nhost: b.example\r\nte: trailers\r\ncontent-length: 0\r\nupgrade: x\r\nconnection: te, upgrade\r\n\r\n',
    );
    expect(connection.completedExchanges).toBe(2);
  });

  const broken: Record<string, { script: string; want: string; ends?: boolean }> = {
    'no answer': { script: '', want: 'abort closed closed-before-response', ends: true },
    'half a head': {
      script: 'HTTP/1.1 200 OK\r\nContent',
      want: 'abort closed closed-before-response',
      ends: true,
    },
    'half a body': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab',
      want: 'abort closed closed-within-response',
      ends: true,
    },
    'half a chunk': {
      script: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
      want: 'abort closed closed-within-response',
      ends: true,
    },
    'something else': { script: 'SSH-2.0-OpenSSH_9\r\n\r\n', want: 'abort protocol illegal-status-line' },
    'a status of two digits': {
      script: 'HTTP/1.1 20 OK\r\n\r\n',
      want: 'abort protocol illegal-status-line',
    },
    'a bare LF': { script: 'HTTP/1.1 200 OK\nA: b\n\n', want: 'abort protocol bare-lf' },
    'both framings': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
      want: 'abort protocol content-length-and-transfer-encoding',
    },
    'a coding that we do not know': {
      script: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
      want: 'abort protocol illegal-transfer-encoding',
    },
    'two lengths': {
      script: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
      want: 'abort protocol duplicate-content-length',
    },
    'a folded line': { script: 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', want: 'abort protocol folded-line' },
    'a switch that nobody asked for': {
      script: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      want: 'abort protocol unexpected-switch',
    },
    'endless informational ones': {
      script: 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(33),
      want: 'abort protocol too-many-informational-responses',
    },
    'an endless head': {
      script: `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(70_000)}`,
      want: 'abort limit header-too-large',
    },
  };
  test.each(Object.entries(broken))('gives up at %s', async (_, { script, want, ends = false }) => {
    const { results, connection, isClosed } = await ask([script], [request], ends);
    expect(results[0]?.at(-1)).toBe(want);
    expect(connection.canRequest).toBe(false);
    await until(isClosed, 'the connection is closed');
  });

  test('switches protocols when it asked for it, with what came already', async () => {
    const server = await listenTransports((transport) => {
      let head = true;
      transport.start({
        onBytes(bytes) {
          const answer = head
            ? 'HTTP/1.1 101 Go\r\nUpgrade: Echo\r\nConnection: upgrade\r\n\r\nhello'
            : String(bytes).toUpperCase();
          head = false;
          transport.credit(bytes.length);
          transport.write(Buffer.from(answer));
        },
        onIdle() {},
        onClosed() {},
      });
    });
    open.push(server);
    const connection = connectHttp1(
      await connectTransport(server.port),
      {},
      { ...DEFAULT_HTTP1_OPTIONS, deadlines },
    );
    const { promise, resolve } = Promise.withResolvers<string>();
    connection.request(
      { ...request, upgrade: 'echo' },
      Object.assign(new Result(), {
        onSwitched(_head: unknown, tunnel: NodeJS.ReadWriteStream) {
          tunnel.end('world');
          let heard = '';
          tunnel.on('data', (bytes: Buffer) => {
            heard += String(bytes);
          });
          tunnel.on('end', () => resolve(heard));
        },
      }),
    );
    expect(await promise).toBe('helloWORLD');
  });
});
