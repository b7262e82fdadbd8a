import { describe, expect, test } from '@jest/globals';
import type { ClientExchange } from '@ambit/http/exchange';
import { fuzzing } from '@ambit/core/testing/seeded';
import { KeptBytes } from './kept-bytes.ts';
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
    expect([credited(), body.heldBytes > 0]).toEqual([0, true]);
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
    expect([sink.received, credited(), body.heldBytes > 0, sink.ended]).toEqual([
      '123456',
      0,
      true,
      undefined,
    ]);
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
    expect([ready, credited()]).toEqual([[], 4]);
    push('two');
    expect([ready, credited()]).toEqual([[], 7]);
    push(' three');
    expect([ready, credited()]).toEqual([['one two'], 7]);
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

  test('in pieces of one byte costs memory and work as one in large pieces does', () => {
    const { body } = bodyOf(200_000);
    const one = Buffer.from('x');
    for (let i = 0; i < 200_000; i++) body.push(one);
    expect(body.heldBytes).toBeLessThan(220_000);
    const sink = new Sink();
    body.sendTo(sink);
    for (let i = 0; i < 200_000; i++) body.push(one);
    expect([sink.received.length, body.isLost, body.heldBytes < 20_000]).toEqual([400_000, true, true]);
  });

  test('gives up another try when memory is short, and nothing that is yet to be sent', () => {
    const { body, push } = bodyOf(100_000);
    push('x'.repeat(1_000));
    expect(body.letGo()).toBe(false);
    const sink = new Sink();
    sink.isFull = true;
    body.sendTo(sink);
    push('y'.repeat(50_000));
    expect([body.letGo(), body.isLost, body.letGo()]).toEqual([true, true, false]);
    body.onWritable();
    expect(sink.received).toBe('x'.repeat(1_000) + 'y'.repeat(50_000));
  });
});

describe('what is kept', () => {
  test('is read as it was written, in whatever pieces, and again from the beginning', () => {
    const chance = fuzzing(20_260_711);
    const below = (limit: number) => chance.below(limit);
    for (let round = 0; round < 500; round++) {
      const kept = new KeptBytes();
      let written = '';
      let read = '';
      let forgotten = 0;
      for (let step = 0; step < 40; step++) {
        switch (below(5)) {
          case 0: {
            kept.rewind();
            read = written.slice(0, forgotten);
            break;
          }
          case 1: {
            const before = [...kept.all()].reduce((sum, { length }) => sum + length, 0);
            kept.forgetRead();
            forgotten += before - [...kept.all()].reduce((sum, { length }) => sum + length, 0);
            break;
          }
          case 2:
            read += kept.read()?.toString() ?? '';
            break;
          default: {
            const text = String.fromCharCode(97 + below(26)).repeat(below(3) === 0 ? below(3_000) : below(4));
            written += text;
            kept.push(Buffer.from(text));
          }
        }
        expect(kept.unreadBytes).toBe(written.length - read.length);
      }
      for (let bytes = kept.read(); bytes; bytes = kept.read()) read += bytes.toString();
      expect(read === written).toBe(true);
    }
  });
});
