import { describe, expect, test } from '@jest/globals';
import { encodeGrpcMessage, GrpcMessageCounter, grpcStatusFor, isGrpc, parseGrpcTimeoutMs } from './grpc.ts';

describe('a content type', () => {
  const cases: Record<string, [types: string[], want: boolean]> = {
    'gRPC’s': [['application/grpc'], true],
    'with a format': [['application/grpc+proto'], true],
    'with a parameter': [['application/grpc;x'], true],
    'of gRPC for browsers': [['application/grpc-web'], false],
    'that only begins so': [['application/grpcx'], false],
    another: [['text/plain'], false],
    none: [[], false],
    'twice, which is one with a comma in it': [['application/grpc', 'application/grpc'], false],
  };
  test.each(Object.entries(cases))('%s', (_, [types, want]) => {
    expect(isGrpc(['te', 'trailers', ...types.flatMap((type) => ['content-type', type])])).toBe(want);
  });
});

describe('a deadline', () => {
  const cases: Record<string, [string | undefined, number | undefined]> = {
    hours: ['2H', 7_200_000],
    minutes: ['3M', 180_000],
    seconds: ['10S', 10_000],
    milliseconds: ['250m', 250],
    'microseconds, rounded up': ['1500u', 2],
    'nanoseconds, rounded up': ['1n', 1],
    nothing: [undefined, undefined],
    'no unit': ['10', undefined],
    'an unknown unit': ['10s', undefined],
    'too many digits': ['123456789S', undefined],
    'a sign': ['-1S', undefined],
    'a fraction': ['1.5S', undefined],
  };
  test.each(Object.entries(cases))('%s', (_, [value, want]) => expect(parseGrpcTimeoutMs(value)).toBe(want));
});

test('statuses are those of gRPC’s table', () => {
  const statuses = [400, 401, 403, 404, 429, 500, 502, 503, 504, 418];
  expect(statuses.map(grpcStatusFor)).toEqual([13, 16, 7, 12, 14, 2, 14, 14, 14, 2]);
});

test('a message is printable ASCII', () => {
  expect(encodeGrpcMessage('100 % größer\n')).toBe('100 %25 gr%C3%B6%C3%9Fer%0A');
});

test('messages are counted however they are cut, also empty ones; a part of one is none', () => {
  const message = (length: number) => {
    const bytes = Buffer.alloc(5 + length, 1);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  const whole = Buffer.concat([message(0), message(3), message(300), message(0), message(70_000)]);
  for (const step of [1, 2, 5, 7, 100, whole.length]) {
    const counter = new GrpcMessageCounter();
    for (let at = 0; at < whole.length; at += step) counter.push(whole.subarray(at, at + step));
    expect(counter.count).toBe(5);
    counter.push(message(10).subarray(0, 12));
    expect(counter.count).toBe(5);
  }
});
