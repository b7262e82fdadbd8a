import { describe, expect, test } from '@jest/globals';
import { HttpError } from '../errors.ts';
import { DEFAULT_HTTP1_OPTIONS } from '../options.ts';
import { type ParsedRequest, RequestParser } from './request-head.ts';

const parse = (text: string, scheme: 'http' | 'https' = 'http'): ParsedRequest => {
  const bytes = Buffer.from(`junk${text}\r\n\r\n`, 'latin1');
  return new RequestParser(DEFAULT_HTTP1_OPTIONS, scheme).parse(bytes, 4, bytes.length);
};

/** `400 reason` of a head that is refused. */
const refusal = (text: string): string => {
  try {
    parse(text);
    return 'accepted';
  } catch (error) {
    if (error instanceof HttpError) return `${error.status} ${error.reason}`;
    throw error;
  }
};

const head = {
  method: 'GET',
  scheme: 'http',
  authority: 'a.example',
  path: '/',
  version: '1.1',
  fields: [],
  upgrade: undefined,
  expectsContinue: false,
  endsHere: true,
};

describe('a request is read as', () => {
  const cases: Record<string, { text: string; want: object; bodyBytes?: number; keepsAlive?: boolean }> = {
    'the smallest one': { text: 'GET / HTTP/1.1\r\nHost: a.example', want: head },
    'names in lower case, values as they are, in order and repeated': {
      text: 'GET / HTTP/1.1\r\nHOST: a.example\r\nX-One: 1\r\nAccept: */*\r\nx-ONE:  two words\t \r\nX-Empty:',
      want: { ...head, fields: ['x-one', '1', 'accept', '*/*', 'x-one', 'two words', 'x-empty', ''] },
    },
    'octets above ASCII in values': {
      text: 'GET / HTTP/1.1\r\nHost: a.example\r\nX: caf\xe9',
      want: { ...head, fields: ['x', 'caf\xe9'] },
    },
    'a body of known length': {
      text: 'POST /p?q=1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12',
      want: { ...head, method: 'POST', path: '/p?q=1', fields: ['content-length', '12'], endsHere: false },
      bodyBytes: 12,
    },
    'a body of no octets is none': {
      text: 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0',
      want: { ...head, method: 'POST', fields: ['content-length', '0'] },
    },
    'a body in chunks': {
      text: 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: Chunked',
      want: { ...head, method: 'POST', endsHere: false },
      bodyBytes: -1,
    },
    'one that waits for a 100': {
      text: 'PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nExpect: 100-Continue',
      want: {
        ...head,
        method: 'PUT',
        fields: ['content-length', '1'],
        expectsContinue: true,
        endsHere: false,
      },
      bodyBytes: 1,
    },
    'HTTP/1.0 ends the connection': {
      text: 'GET / HTTP/1.0\r\nHost: a.example',
      want: { ...head, version: '1.0' },
      keepsAlive: false,
    },
    'HTTP/1.0 may keep it, and need not name a host': {
      text: 'GET / HTTP/1.0\r\nConnection: keep-alive',
      want: { ...head, version: '1.0', authority: '' },
    },
    close: {
      text: 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: x, Close',
      want: head,
      keepsAlive: false,
    },
    'fields of the connection alone are gone, whatever their order, and TE says trailers or nothing': {
      text:
        'GET / HTTP/1.1\r\nX-Hop: 1\r\nHost: a.example\r\nConnection: x-hop, TE\r\nKeep-Alive: timeout=5\r\n' +
        'TE: trailers, deflate;q=0.5\r\nProxy-Connection: keep-alive\r\nAccept: a\r\nX-Hop: 2',
      want: { ...head, fields: ['te', 'trailers', 'accept', 'a'] },
    },
    'TE without trailers is gone': {
      text: 'GET / HTTP/1.1\r\nHost: a.example\r\nTE: deflate',
      want: head,
    },
    'an upgrade': {
      text: 'GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade',
      want: { ...head, path: '/chat', upgrade: 'websocket' },
    },
    'Upgrade that Connection does not name is none, and h2c never': {
      text: 'GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket',
      want: head,
    },
    h2c: {
      text: 'GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
      want: head,
    },
    'absolute-form': {
      text: 'GET http://a.example/x?y HTTP/1.1\r\nHost: a.example:80',
      want: { ...head, path: '/x?y' },
    },
    'absolute-form without a path': {
      text: 'GET http://a.example?y HTTP/1.1\r\nHost: A.example',
      want: { ...head, path: '/?y' },
    },
    'absolute-form of OPTIONS without a path': {
      text: 'OPTIONS http://a.example HTTP/1.1\r\nHost: a.example',
      want: { ...head, method: 'OPTIONS', path: '*' },
    },
    'OPTIONS *': {
      text: 'OPTIONS * HTTP/1.1\r\nHost: a.example',
      want: { ...head, method: 'OPTIONS', path: '*' },
    },
    CONNECT: {
      text: 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443',
      want: { ...head, method: 'CONNECT', authority: 'a.example:443', path: '' },
    },
    'an address as host': {
      text: 'GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080',
      want: { ...head, authority: '[2001:db8::1]:8080' },
    },
    'a path that begins like an authority': {
      text: 'GET //b.example/x HTTP/1.1\r\nHost: a.example',
      want: { ...head, path: '//b.example/x' },
    },
    'names that are in every object': {
      text: 'GET / HTTP/1.1\r\nHost: a.example\r\n__proto__: x\r\nconstructor: y\r\ntoString: z',
      want: { ...head, fields: ['__proto__', 'x', 'constructor', 'y', 'tostring', 'z'] },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { text, want, bodyBytes = 0, keepsAlive = true }) => {
    expect(parse(text)).toEqual({ head: want, bodyBytes, keepsAlive });
  });
});

describe('a request is refused', () => {
  const HOST = 'Host: a.example';
  const get = (...fields: readonly string[]) => ['GET / HTTP/1.1', HOST, ...fields].join('\r\n');
  const post = (...fields: readonly string[]) => ['POST / HTTP/1.1', HOST, ...fields].join('\r\n');
  const cases: Record<string, [text: string, want: string]> = {
    // Which body it has.
    'content-length and chunked': [
      post('Content-Length: 5', 'Transfer-Encoding: chunked'),
      '400 content-length-and-transfer-encoding',
    ],
    'chunked and content-length': [
      post('Transfer-Encoding: chunked', 'Content-Length: 5'),
      '400 content-length-and-transfer-encoding',
    ],
    'content-length twice, differing': [
      post('Content-Length: 5', 'Content-Length: 6'),
      '400 duplicate-content-length',
    ],
    'content-length twice, the same': [
      post('Content-Length: 5', 'content-length: 5'),
      '400 duplicate-content-length',
    ],
    'a list of content-lengths': [post('Content-Length: 5, 5'), '400 illegal-content-length'],
    'a signed content-length': [post('Content-Length: +5'), '400 illegal-content-length'],
    'a negative content-length': [post('Content-Length: -1'), '400 illegal-content-length'],
    'a hexadecimal content-length': [post('Content-Length: 0x5'), '400 illegal-content-length'],
    'an empty content-length': [post('Content-Length:'), '400 illegal-content-length'],
    'a content-length with a space in it': [post('Content-Length: 1 2'), '400 illegal-content-length'],
    'a content-length with an underscore': [post('Content-Length: 1_0'), '400 illegal-content-length'],
    'a content-length beyond numbers': [
      post('Content-Length: 99999999999999999999'),
      '400 illegal-content-length',
    ],
    'a content-length in other digits': [post('Content-Length: \xb2'), '400 illegal-content-length'],
    'a coding besides chunked': [post('Transfer-Encoding: gzip, chunked'), '400 illegal-transfer-encoding'],
    'another coding': [post('Transfer-Encoding: identity'), '400 illegal-transfer-encoding'],
    'chunked twice': [post('Transfer-Encoding: chunked, chunked'), '400 illegal-transfer-encoding'],
    'chunked in two fields': [
      post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
      '400 duplicate-transfer-encoding',
    ],
    'chunked and then identity': [
      post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity'),
      '400 duplicate-transfer-encoding',
    ],
    'chunked with a vertical tab': [post('Transfer-Encoding: \x0bchunked'), '400 illegal-field-value'],
    'chunked with a trailing form feed': [post('Transfer-Encoding: chunked\x0c'), '400 illegal-field-value'],
    'chunked in quotes': [post('Transfer-Encoding: "chunked"'), '400 illegal-transfer-encoding'],
    'chunked with a parameter': [post('Transfer-Encoding: chunked;q=1'), '400 illegal-transfer-encoding'],
    xchunked: [post('Transfer-Encoding: xchunked'), '400 illegal-transfer-encoding'],
    'an empty transfer-encoding': [post('Transfer-Encoding:'), '400 illegal-transfer-encoding'],
    'chunked in HTTP/1.0': [
      'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked',
      '400 transfer-encoding-in-http-1.0',
    ],
    'transfer-encoding with a space before the colon': [
      post('Transfer-Encoding : chunked'),
      '400 space-before-colon',
    ],
    'transfer-encoding on a folded line': [post('X: y', ' Transfer-Encoding: chunked'), '400 folded-line'],
    'a folded value': [post('X: y', '\tz'), '400 folded-line'],
    'a value that is on the next line': [
      post('Transfer-Encoding:', ' chunked'),
      '400 illegal-transfer-encoding',
    ],
    'a first field that is folded': ['GET / HTTP/1.1\r\n Host: a.example', '400 folded-line'],
    'CONNECT with a body': [
      'CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\nContent-Length: 4',
      '400 connect-with-body',
    ],

    // Line ends and octets.
    'a bare LF after a field': [get('A: b\nContent-Length: 5'), '400 bare-lf'],
    'a bare LF after the request line': ['GET / HTTP/1.1\nHost: a.example', '400 illegal-request-line'],
    'a bare CR in a value': [get('A: b\rContent-Length: 5'), '400 bare-cr'],
    'a bare CR in the request line': ['GET / HTTP/1.1\rHost: a.example', '400 illegal-request-line'],
    'CR CR LF': [get('A: b\r'), '400 bare-cr'],
    'NUL in a value': [get('A: b\0c'), '400 illegal-field-value'],
    'NUL in a name': [get('A\0: b'), '400 illegal-field-name'],
    'NUL in the target': ['GET /\0 HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'DEL in a value': [get('A: \x7f'), '400 illegal-field-value'],
    'no name': [get(': b'), '400 illegal-field-name'],
    'no colon': [get('A'), '400 illegal-field-name'],
    'a name with a separator': [get('A(b): c'), '400 illegal-field-name'],
    'a name with an octet above ASCII': [get('A\xe9: c'), '400 illegal-field-name'],
    'a name with a line separator of Latin-1': [get('A\x85: c'), '400 illegal-field-name'],
    'a tab before the colon': [get('A\t: b'), '400 space-before-colon'],

    // Request line.
    'two spaces before the target': ['GET  / HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'two spaces after the target': ['GET /  HTTP/1.1\r\nHost: a', '400 illegal-request-line'],
    'a space in the target': ['GET /a b HTTP/1.1\r\nHost: a', '400 illegal-request-line'],
    'a tab between': ['GET\t/ HTTP/1.1\r\nHost: a', '400 illegal-method'],
    'a leading space': [' GET / HTTP/1.1\r\nHost: a', '400 illegal-method'],
    'a trailing space': ['GET / HTTP/1.1 \r\nHost: a', '400 illegal-request-line'],
    'no version': ['GET /\r\nHost: a', '400 illegal-target'],
    'HTTP/0.9': ['GET / HTTP/0.9\r\nHost: a', '505 unsupported-version'],
    'HTTP/2.0': ['GET / HTTP/2.0\r\nHost: a', '505 unsupported-version'],
    'HTTP/1.2': ['GET / HTTP/1.2\r\nHost: a', '505 unsupported-version'],
    'HTTP/1.10': ['GET / HTTP/1.10\r\nHost: a', '400 illegal-request-line'],
    'http/1.1': ['GET / http/1.1\r\nHost: a', '400 illegal-request-line'],
    'another protocol': ['GET / ICE/1.1\r\nHost: a', '400 illegal-request-line'],
    'a method that is no token': ['G@T / HTTP/1.1\r\nHost: a', '400 illegal-method'],
    'an endless method': [`${'A'.repeat(40)} / HTTP/1.1\r\nHost: a`, '400 illegal-method'],
    'the preface of HTTP/2': ['PRI * HTTP/2.0', '505 unsupported-version'],
    'a fragment': ['GET /a#b HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'an octet above ASCII in the target': ['GET /\xe9 HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'a relative target': ['GET a HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'another scheme': ['GET ftp://a/ HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'a target without an authority': ['GET http:///x HTTP/1.1\r\nHost: a', '400 illegal-host'],
    '* with GET': ['GET * HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'CONNECT with a path': ['CONNECT /x HTTP/1.1\r\nHost: a', '400 illegal-host'],
    'CONNECT without a port': ['CONNECT a HTTP/1.1\r\nHost: a', '400 illegal-target'],
    'CONNECT elsewhere than Host says': ['CONNECT b:1 HTTP/1.1\r\nHost: a:1', '400 host-mismatch'],

    // Whom it is for.
    'no host': ['GET / HTTP/1.1', '400 missing-host'],
    'two hosts': [get('host: b.example'), '400 duplicate-host'],
    'two hosts, the same': [get(HOST), '400 duplicate-host'],
    'an empty host': ['GET / HTTP/1.1\r\nHost:', '400 illegal-host'],
    'a host with user information': ['GET / HTTP/1.1\r\nHost: u@a', '400 illegal-host'],
    'a host with a path': ['GET / HTTP/1.1\r\nHost: a/b', '400 illegal-host'],
    'a host with white space': ['GET / HTTP/1.1\r\nHost: a b', '400 illegal-host'],
    'a host with an empty port': ['GET / HTTP/1.1\r\nHost: a:', '400 illegal-host'],
    'a host with a port that is none': ['GET / HTTP/1.1\r\nHost: a:8x', '400 illegal-host'],
    'an unclosed address': ['GET / HTTP/1.1\r\nHost: [::1', '400 illegal-host'],
    'absolute-form for another host': ['GET http://b/ HTTP/1.1\r\nHost: a', '400 host-mismatch'],
    'absolute-form for another port': ['GET http://a:81/ HTTP/1.1\r\nHost: a', '400 host-mismatch'],
    'absolute-form with user information': ['GET http://a@b/ HTTP/1.1\r\nHost: b', '400 illegal-host'],
    'absolute-form with a backslash': ['GET http://a\\b/ HTTP/1.1\r\nHost: a', '400 illegal-host'],

    // What else it asks for.
    'host taken away by Connection': [get('Connection: host'), '400 illegal-connection-option'],
    'content-length taken away': [
      post('Connection: content-length', 'Content-Length: 1'),
      '400 illegal-connection-option',
    ],
    'who the client is, taken away': [
      get('Connection: close, X-Forwarded-For'),
      '400 illegal-connection-option',
    ],
    'an expectation that is unknown': [get('Expect: 200-ok'), '417 unknown-expectation'],
    'expectations twice': [get('Expect: 100-continue', 'Expect: 100-continue'), '417 unknown-expectation'],

    // Sizes.
    'too many fields': [get(...Array.from({ length: 100 }, (_, i) => `x-${i}: 1`)), '431 too-many-fields'],
    'too long a line': [`GET /${'a'.repeat(16_384)} HTTP/1.1\r\n${HOST}`, '414 request-line-too-long'],
    'too long a head': [get(`X: ${'a'.repeat(60_000)}`, `Y: ${'b'.repeat(2_000)}`), '431 header-too-large'],
  };
  test.each(Object.entries(cases))('%s', (_, [text, want]) => {
    expect(refusal(text)).toBe(want);
  });
});

test('a name whose hash collides with that of a known one is another name', () => {
  expect(parse('GET / HTTP/1.1\r\nHost: a.example\r\nAccepRkCharset: x').head.fields).toEqual([
    'acceprkcharset',
    'x',
  ]);
});
