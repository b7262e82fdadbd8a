import { describe, expect, test } from '@jest/globals';
import { deniedReply } from './local-reply.ts';

const head = (...fields: readonly string[]) => ({ status: 403, fields });
const body = Buffer.from('no');

describe('what a service answers in our place', () => {
  test('goes to a client of HTTP as it is', () => {
    const denied = head('content-type', 'text/plain', 'grpc-status', '7');
    expect(deniedReply(denied, body, false)).toEqual({ head: denied, body });
  });

  test.each<[string, readonly string[], string, string]>([
    ['that of its HTTP status', [], '7', 'no'],
    ['the one that it says itself', ['grpc-status', '8'], '8', 'no'],
    ['none that means yes', ['grpc-status', '0', 'grpc-message', 'fine'], '7', 'no'],
    ['none that gRPC has not', ['grpc-status', '17'], '7', 'no'],
  ])('gives a client of gRPC a status: %s', (_, fields, status, message) => {
    const reply = deniedReply(head(...fields, 'content-type', 'text/html', 'x-why', 'a'), body, true);
    expect(reply).toEqual({
      head: {
        status: 200,
        fields: [
          ...['content-type', 'application/grpc', 'grpc-status', status, 'grpc-message', message],
          ...['x-why', 'a'],
        ],
      },
      body: new Uint8Array(0),
    });
  });

  test('in a message that no header list is too short for', () => {
    const reply = deniedReply(head(), Buffer.alloc(100_000, 'a'), true);
    expect(reply.head.fields).toContain('a'.repeat(1_024));
  });
});
