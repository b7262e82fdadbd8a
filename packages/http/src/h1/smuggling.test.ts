/**
 * Attempts to have two parsers see different messages, by class: every octet at every seam of the lines that frame and route,
 * and whole conversations of the kinds that are published. Either a request is refused, or it is one that cannot be misread.
 */
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '../deadlines.ts';
import { HttpError } from '../errors.ts';
import { DEFAULT_HTTP1_OPTIONS, DEFAULT_HTTP1_SERVER_OPTIONS } from '../options.ts';
import { MemoryTransport } from '../testing/memory-transport.ts';
import { type ParsedRequest, RequestParser } from './request-head.ts';
import { serveHttp1 } from './server.ts';

const deadlines = new Deadlines({ ...systemClock, every: () => ({ cancel() {} }) });

function parse(head: string): ParsedRequest | string {
  const bytes = Buffer.from(`${head}\r\n\r\n`, 'latin1');
  try {
    return new RequestParser(DEFAULT_HTTP1_OPTIONS, 'http').parse(bytes, 0, bytes.length);
  } catch (error) {
    if (error instanceof HttpError) return error.reason;
    throw error;
  }
}

const isVisible = (text: string) =>
  [...Buffer.from(text, 'latin1')].every((octet) => octet === 9 || (octet > 31 && octet !== 127));

/** `line` with an octet at each of its seams: around the name, the colon and the value, and within both. */
function* disturbed(name: string, value: string): Generator<string> {
  for (let octet = 0; octet < 256; octet++) {
    const char = String.fromCharCode(octet);
    yield `${char}${name}: ${value}`;
    yield `${name.slice(0, 4)}${char}${name.slice(4)}: ${value}`;
    yield `${name.slice(0, 4)}${char}${name.slice(5)}: ${value}`;
    yield `${name}${char}: ${value}`;
    yield `${name}:${char}${value}`;
    yield `${name}: ${char}${value}`;
    yield `${name}: ${value.slice(0, 1)}${char}${value.slice(1)}`;
    yield `${name}: ${value}${char}`;
    yield `${name}: ${value}, ${char}`;
    yield `${name}${char}${value}`;
    yield `X: y${char}${name}: ${value}`;
    yield `X: y\r${char}${name}: ${value}`;
  }
}

describe('every octet at every seam of', () => {
  test('Transfer-Encoding beside Content-Length: refused, or a field of another name', () => {
    const problems: string[] = [];
    for (const line of disturbed('Transfer-Encoding', 'chunked')) {
      const parsed = parse(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n${line}`);
      if (typeof parsed === 'string') continue;
      const { fields } = parsed.head;
      const names = fields.filter((_, i) => i % 2 === 0);
      const isPlain = parsed.bodyBytes === 3 && fields.every(isVisible);
      if (!isPlain || names.some((name) => /^transfer[-_ ]encoding$/.test(name)))
        problems.push(JSON.stringify(line));
    }
    expect(problems).toEqual([]);
  });

  test('Transfer-Encoding alone: chunked when it says so, refused when it nearly does, else a field of another name', () => {
    const problems: string[] = [];
    for (const line of disturbed('Transfer-Encoding', 'chunked')) {
      const parsed = parse(`POST / HTTP/1.1\r\nHost: a\r\n${line}`);
      if (typeof parsed === 'string') continue;
      const isExact = /^transfer-encoding:[\t ]*chunked[\t ]*$/im.test(line);
      if (isExact !== (parsed.bodyBytes === -1)) problems.push(JSON.stringify(line));
    }
    expect(problems).toEqual([]);
  });

  test('Content-Length: the number as it stands, or refused, or a field of another name', () => {
    const problems: string[] = [];
    for (const line of disturbed('Content-Length', '12')) {
      const parsed = parse(`POST / HTTP/1.1\r\nHost: a\r\n${line}`);
      if (typeof parsed === 'string') continue;
      const exact = /^content-length:[\t ]*([0-9]+)[\t ]*$/im.exec(line)?.[1];
      if (parsed.bodyBytes !== Number(exact ?? 0)) problems.push(JSON.stringify(line));
    }
    expect(problems).toEqual([]);
  });

  test('a second Host: refused, or a field of another name', () => {
    const problems: string[] = [];
    for (const line of disturbed('Host', 'evil.example')) {
      const parsed = parse(`GET / HTTP/1.1\r\nHost: a\r\n${line}`);
      if (typeof parsed === 'string') continue;
      if (parsed.head.authority !== 'a' || parsed.head.fields.includes('host'))
        problems.push(JSON.stringify(line));
    }
    expect(problems).toEqual([]);
  });

  test('the request line: one method, one target, one version, or refused', () => {
    const problems: string[] = [];
    for (let octet = 0; octet < 256; octet++) {
      const char = String.fromCharCode(octet);
      const lines = [
        `${char}GET /a HTTP/1.1`,
        `GET${char}/a HTTP/1.1`,
        `GET ${char}/a HTTP/1.1`,
        `GET /a${char}b HTTP/1.1`,
        `GET /a${char} HTTP/1.1`,
        `GET /a${char}HTTP/1.1`,
        `GET /a ${char}HTTP/1.1`,
        `GET /a HTTP/1.1${char}`,
        `GET /a HTTP/1${char}1`,
        `GET${char} /a HTTP/1.1`,
      ];
      for (const line of lines) {
        const parsed = parse(`${line}\r\nHost: a`);
        if (typeof parsed === 'string') continue;
        const { method, path } = parsed.head;
        if (
          !/^[!#-'*+\-.^_`|~0-9A-Za-z]+ \/[!-"$-~]* HTTP\/1\.1$/.test(line) ||
          line !== `${method} ${path} HTTP/1.1`
        )
          problems.push(JSON.stringify(line));
      }
    }
    expect(problems).toEqual([]);
  });
});

/** The paths that our server takes for requests, in order, and what it refuses. */
function conversation(text: string): string[] {
  const transport = new MemoryTransport();
  const seen: string[] = [];
  serveHttp1(
    transport,
    {
      onRequest(exchange) {
        const answer = () => exchange.respond({ status: 204, fields: [] }, true);
        seen.push(exchange.head.path);
        if (exchange.head.endsHere) answer();
        return {
          onData: (bytes) => exchange.credit(bytes.length),
          onEnd: answer,
          onAbort: (error) => seen.push(error.reason),
          onWritable() {},
        };
      },
      onRefused: (error) => seen.push(error.reason),
    },
    { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines },
  );
  transport.deliver(Buffer.from(text, 'latin1'));
  return seen;
}

describe('a conversation', () => {
  const NEXT = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n';
  const chunked = (body: string) =>
    `POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  const cases: Record<string, [text: string, want: string[]]> = {
    'CL.TE': [
      `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG${NEXT}`,
      ['content-length-and-transfer-encoding'],
    ],
    'TE.CL': [
      `POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${NEXT}0\r\n\r\n`,
      ['content-length-and-transfer-encoding'],
    ],
    'TE.TE': [
      `POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n${NEXT}`,
      ['duplicate-transfer-encoding'],
    ],
    'CL.CL': [
      `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n${NEXT}`,
      ['duplicate-content-length'],
    ],
    'CL.0: the body of a GET is its body': [
      `GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${NEXT.length}\r\n\r\n${NEXT}`,
      ['/x'],
    ],
    '0.CL: a content-length that only one would see': [
      `GET /x HTTP/1.1\r\nHost: a\r\nContent-Length:\n 40\r\n\r\n${NEXT}`,
      ['bare-lf'],
    ],
    'a content-length with an underscore': [
      `POST /x HTTP/1.1\r\nHost: a\r\nContent_Length: 40\r\n\r\n${NEXT}`,
      ['illegal-field-name'],
    ],
    'a transfer-encoding with an underscore': [
      `POST /x HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n`,
      ['illegal-field-name'],
    ],
    'a chunk line that ends in LF': [
      chunked(`5;\nhello\r\n0\r\n\r\n${NEXT}`),
      ['/x', 'illegal-chunk-extension'],
    ],
    'a chunk line that ends in CR alone': [
      chunked(`5\rhello\r\n0\r\n\r\n${NEXT}`),
      ['/x', 'illegal-chunk-size'],
    ],
    'an extension that spills a line': [
      chunked(`5;a=\r\rx\nhello\r\n0\r\n\r\n${NEXT}`),
      ['/x', 'illegal-chunk-size'],
    ],
    'a chunk without its line end': [chunked(`5\r\nhelloXX0\r\n\r\n${NEXT}`), ['/x', 'illegal-chunk-end']],
    'a chunk that ends in LF LF': [chunked(`5\r\nhello\n\n0\r\n\r\n${NEXT}`), ['/x', 'illegal-chunk-end']],
    'a size with an underscore': [
      chunked(`1_0\r\n${'x'.repeat(16)}\r\n0\r\n\r\n`),
      ['/x', 'illegal-chunk-size'],
    ],
    'a size in capitals, and with zeros in front': [
      chunked(`00A\r\n0123456789\r\n0\r\n\r\n${NEXT}`),
      ['/x', '/hidden'],
    ],
    'a last chunk of many zeros': [chunked(`0000\r\n\r\n${NEXT}`), ['/x', '/hidden']],
    'a last chunk that ends in LF': [chunked(`0\r\n\n${NEXT}`), ['/x', 'bare-lf']],
    'an end in CR alone': [chunked(`0\r\n\r${NEXT}`), ['/x', 'bare-cr']],
    'a request within a trailer': [chunked(`0\r\n${NEXT}`), ['/x', 'space-before-colon']],
    'a trailer that is folded': [chunked(`0\r\nA: b\r\n c\r\n\r\n${NEXT}`), ['/x', 'folded-line']],
    'an expectation in disguise': [
      `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: y 100-continue\r\n\r\n${NEXT}`,
      ['unknown-expectation'],
    ],
    'a prefix of another protocol': [`PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n${NEXT}`, ['illegal-request-line']],
    'an upgrade to h2c is not passed on, and what follows is HTTP/1.1': [
      `GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n${NEXT}`,
      ['/x', '/hidden'],
    ],
  };
  test.each(Object.entries(cases))('%s', (_, [text, want]) => {
    expect(conversation(text)).toEqual(want);
  });
});
