import { describe, expect, test } from '@jest/globals';
import { type Spoken, spokenBy } from './sniff.ts';

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
