import { describe, expect, test } from '@jest/globals';
import {
  decodeAck,
  decodeHello,
  decodeRequest,
  encodeAck,
  encodeHello,
  encodeRequest,
  type ZdsRequest,
} from './messages.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const pod = { uid: 'u1', name: 'web', namespace: 'shop', serviceAccount: 'web-sa' };

describe('ZDS messages', () => {
  test('bytes are those that Istio sends', () => {
    expect(hex(encodeHello())).toBe('0801');
    expect(hex(encodeAck(''))).toBe('0a00');
    expect(hex(encodeAck('no'))).toBe('0a040a026e6f');
    expect(hex(encodeRequest({ kind: 'snapshot-sent' }))).toBe('1a00');
    expect(hex(encodeRequest({ kind: 'del', uid: 'u1' }))).toBe('120412027531');
    expect(hex(encodeRequest({ kind: 'keep', uid: 'u1' }))).toBe('2a040a027531');
    expect(hex(encodeRequest({ kind: 'add', pod }))).toBe(
      '0a190a02753112130a03776562120473686f701a067765622d7361',
    );
  });

  const requests: readonly ZdsRequest[] = [
    { kind: 'add', pod },
    { kind: 'add', pod: { ...pod, inboundBypassed: true } },
    {
      kind: 'add',
      pod: { ...pod, names: { workloadName: 'web', canonicalName: 'shop', canonicalRevision: 'v2' } },
    },
    { kind: 'keep', uid: 'u1' },
    { kind: 'del', uid: 'u1' },
    { kind: 'snapshot-sent' },
  ];
  test.each(requests)('$kind comes back as it went', (request) => {
    expect(decodeRequest(encodeRequest(request))).toEqual(request);
  });

  test('names that leave no room in one datagram are left out', () => {
    const long = { ...pod, name: 'n'.repeat(253), serviceAccount: 's'.repeat(253) };
    const names = { workloadName: 'w'.repeat(253), canonicalName: 'c'.repeat(253), canonicalRevision: 'v1' };
    const encoded = encodeRequest({ kind: 'add', pod: { ...long, names } });
    expect(encoded.length).toBeLessThanOrEqual(1024);
    expect(decodeRequest(encoded)).toEqual({ kind: 'add', pod: long });
  });

  test('hello and acks come back', () => {
    expect(decodeHello(encodeHello())).toBe(1);
    expect(decodeAck(encodeAck(''))).toBe('');
    expect(decodeAck(encodeAck('taken'))).toBe('taken');
  });

  test('a long reason is cut at a character and fits one datagram', () => {
    const ack = encodeAck('é'.repeat(2000));
    expect(ack.length).toBeLessThanOrEqual(1024);
    expect(decodeAck(ack)).toMatch(/^é{449,450}$/);
  });

  test.each([
    { what: 'garbage', input: 'ffffffffff' },
    { what: 'nothing', input: '' },
    { what: 'an unknown payload', input: '3a00' },
    { what: 'a truncated add', input: '0a190a027531' },
    { what: 'an add without workload_info', input: '0a040a027531' },
    { what: 'an add without uid', input: '0a021200' },
    { what: 'a del without uid', input: '1200' },
    { what: 'text that is not UTF-8', input: '12041202ff31' },
    { what: 'a length beyond the end', input: '0affffffff0f' },
  ])('$what is refused', ({ input }) => {
    expect(() => decodeRequest(bytes(input))).toThrow(expect.objectContaining({ code: 'ZDS_PROTOCOL' }));
  });

  test.each(['', '0b', 'ff'])('an answer of %j is refused', (input) => {
    expect(() => decodeAck(bytes(input))).toThrow(expect.objectContaining({ code: 'ZDS_PROTOCOL' }));
  });
});
