import { describe, expect, test } from '@jest/globals';
import { type Carrier, carrierFor, type Spoken, spokenBy } from './sniff.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('first bytes', () => {
  const cases: Record<string, [string, Spoken | undefined]> = {
    nothing: ['', undefined],
    'a request line': ['GET /a?b=c HTTP/1.1\r\n', 'http1'],
    'a request line of HTTP/1.0 that ends in LF': ['GET / HTTP/1.0\n', 'http1'],
    'a method of an extension': ['M-SEARCH * HTTP/1.1\r\n', 'http1'],
    'the beginning of a method': ['GE', undefined],
    'the beginning of a target': ['GET /a', undefined],
    'a target alone': ['GET /a ', undefined],
    'the beginning of a version': ['GET /a HTT', undefined],
    'a whole version without an end': ['GET /a HTTP/1.1', undefined],
    'the preface of HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0', 'http2'],
    'its beginning': ['PRI * HT', undefined],
    'a preface that goes wrong': ['PRI * HTTP/2.0\r\nX', 'other'],
    'a ClientHello': ['\x16\x03\x01\x02\x00', 'tls'],
    'its first byte': ['\x16', undefined],
    'a byte that only looks like one': ['\x16\x04', 'other'],
    'another version': ['GET / HTTP/3.0\r\n', 'other'],
    'a word too many': ['GET /a b HTTP/1.1\r\n', 'other'],
    'a word too many, early': ['GET /a b', 'other'],
    'memcached: get': ['get key\r\n', 'other'],
    'memcached in capitals': ['GET key\r\n', 'other'],
    'Redis: PING': ['*1\r\n$4\r\nPING\r\n', 'other'],
    'a word and an end of line': ['QUIT\r\n', 'other'],
    'a word that is no method': ['A'.repeat(33), 'other'],
    'a control character': ['GET \x01', 'other'],
    'an empty line': ['\r\n', 'other'],
    'octets beyond ASCII in a target': ['GET /\xe4 HTTP/1.1\r\n', 'http1'],
  };
  test.each(Object.entries(cases))('%s', (_, [text, want]) => expect(spokenBy(bytes(text))).toBe(want));

  test('decide once: more bytes never change what fewer have decided', () => {
    const whole = Object.values(cases).map(([text]) => `${text}GET / HTTP/1.1\r\n`);
    for (const text of whole) {
      let decided: Spoken | undefined;
      for (let length = 0; length <= text.length; length++) {
        const now = spokenBy(bytes(text.slice(0, length)));
        if (decided !== undefined) expect([text, length, now]).toEqual([text, length, decided]);
        decided ??= now;
      }
      expect(decided).toBeDefined();
    }
  });
});

describe('where requests have rules', () => {
  const cases: Record<string, [string, Carrier | undefined]> = {
    'a request line': ['GET / HTTP/1.1\r\n', 'http'],
    'a ClientHello': ['\x16\x03\x01', 'tls'],
    'a method in small letters': ['get /secret HTTP/1.1\r\n', 'http'],
    'its beginning': ['get', undefined],
    'empty lines before a request': ['\r\n\r\nGET /secret HTTP/1.1\r\n', 'http'],
    'an empty line alone': ['\r\n', undefined],
    'HTTP/0.9': ['GET /secret\r\n', 'http'],
    'white space of other kinds': ['GET\t/secret\tHTTP/1.1\r\n', 'http'],
    'a vertical one': ['GET\v/secret HTTP/1.1\r\n', 'http'],
    'a method of other characters': ["g't /secret HTTP/1.1\r\n", 'http'],
    'a word too many': ['GET /a b HTTP/1.1\r\n', 'http'],
    'a target without a slash': ['GET example.com:80 HTTP/1.1\r\n', 'http'],
    'a long one': [`get ${'x'.repeat(2_000)}`, 'http'],
    'a preface that goes wrong': ['PRI * HTTP/2.0\r\nX', 'http'],
    PostgreSQL: ['\0\0\0\x08\x04\xd2\x16\x2f', 'tcp'],
    Redis: ['*1\r\n$4\r\nPING\r\n', 'tcp'],
    'memcached: get': ['get key\r\n', 'tcp'],
    'its beginning too': ['get k', undefined],
    MongoDB: ['\x3f\0\0\0', 'tcp'],
    MQTT: ['\x10\x0e\0\x04MQTT', 'tcp'],
    'a word and an end of line': ['QUIT\r\n', 'tcp'],
    JSON: ['{"a": 1}\n', 'tcp'],
  };
  test.each(Object.entries(cases))('%s', (_, [text, want]) =>
    expect(carrierFor(bytes(text), true)).toBe(want),
  );

  test('nothing is carried as bytes that a request could still follow', () => {
    for (const [text, want] of Object.values(cases)) {
      for (let length = 0; length < text.length; length++) {
        const early = carrierFor(bytes(text.slice(0, length)), true);
        if (early !== undefined) expect([text, length, early]).toEqual([text, length, want ?? early]);
      }
    }
  });
});
