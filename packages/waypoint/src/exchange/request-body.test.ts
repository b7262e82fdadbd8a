import { describe, expect, test } from '@jest/globals';
import type { ClientExchange } from '@ambit/http/exchange';
import { RequestBody } from './request-body.ts';

class Sink implements ClientExchange {
  received = '';
  ended: readonly string[] | 'plain' | undefined;
  isFull = false;
  write(bytes: Uint8Array): boolean {
    this.received += Buffer.from(bytes).toString();
    return !this.isFull;
  }
  end(trailers?: readonly string[]): void {
    this.ended = trailers ?? 'plain';
  }
  abort(): void {}
  credit(): void {}
}

function bodyOf(limitBytes: number) {
  let credited = 0;
  const credit = (bytes: number) => {
    credited += bytes;
  };
  const body = new RequestBody({ credit }, limitBytes);
  return { body, push: (text: string) => body.push(Buffer.from(text)), credited: () => credited };
}

describe('a body', () => {
  test('waits for the first try, and goes to it whole, with its trailers', () => {
    const { body, push, credited } = bodyOf(100);
    push('one ');
    push('two');
    expect([credited(), body.heldBytes]).toEqual([0, 7]);
    const sink = new Sink();
    body.sendTo(sink);
    expect([sink.received, sink.ended, credited()]).toEqual(['one two', undefined, 7]);
    body.end(['x', 'y']);
    expect(sink.ended).toEqual(['x', 'y']);
  });

  test('goes to another try from its beginning', () => {
    const { body, push, credited } = bodyOf(100);
    const [first, second] = [new Sink(), new Sink()];
    body.sendTo(first);
    push('one ');
    body.stop();
    push('two');
    body.sendTo(second);
    body.end(undefined);
    expect([first.received, second.received, second.ended]).toEqual(['one ', 'one two', 'plain']);
    expect([credited(), body.isLost]).toEqual([7, false]);
  });

  test('that is longer than what is kept is lost once some of it was sent', () => {
    const { body, push, credited } = bodyOf(5);
    const sink = new Sink();
    body.sendTo(sink);
    push('12345');
    expect(body.isLost).toBe(false);
    push('6');
    expect([body.isLost, sink.received, credited(), body.heldBytes]).toEqual([true, '123456', 6, 0]);
  });

  test('that is longer, and of which nothing was sent, is not lost', () => {
    const { body, push } = bodyOf(5);
    push('123');
    push('456');
    push('789');
    expect(body.isLost).toBe(false);
    const sink = new Sink();
    body.sendTo(sink);
    expect([sink.received, body.isLost]).toEqual(['123456789', true]);
  });

  test('waits while the sink is full, and its sender gets no credit meanwhile', () => {
    const { body, push, credited } = bodyOf(5);
    const sink = new Sink();
    sink.isFull = true;
    body.sendTo(sink);
    push('123456');
    push('789');
    body.end(undefined);
    expect([sink.received, credited(), body.heldBytes, sink.ended]).toEqual(['123456', 0, 9, undefined]);
    sink.isFull = false;
    body.onWritable();
    expect([sink.received, credited(), body.heldBytes, sink.ended]).toEqual(['123456789', 9, 0, 'plain']);
  });

  test('that nobody needs is dropped, with credit for what waited', () => {
    const { body, push, credited } = bodyOf(5);
    push('123456');
    body.discard();
    push('789');
    expect([credited(), body.heldBytes]).toEqual([9, 0]);
  });

  test('is kept for a question as far as it is asked for, with credit for it, and sent all the same', () => {
    const { body, push, credited } = bodyOf(100);
    const ready: string[] = [];
    push('one ');
    body.await(7, () => ready.push(body.beginning(7).toString()));
    expect([ready, credited(), body.heldBytes]).toEqual([[], 4, 4]);
    push('two');
    expect([ready, credited()]).toEqual([[], 7]);
    push(' three');
    expect([ready, credited(), body.heldBytes]).toEqual([['one two'], 7, 13]);
    const sink = new Sink();
    body.sendTo(sink);
    body.end(undefined);
    expect([sink.received, sink.ended, credited()]).toEqual(['one two three', 'plain', 13]);
  });

  test('that is whole is kept whole', () => {
    const { body, push } = bodyOf(100);
    const ready: string[] = [];
    push('all');
    body.end(undefined);
    body.await(100, () => ready.push(body.beginning(100).toString()));
    expect([ready, body.hasEnded]).toEqual([['all'], true]);
  });
});
