import { expect, test } from '@jest/globals';
import { systemClock } from './clock.ts';
import { type Service, stop } from './service.ts';

function service(drain: Promise<void>): Service & { disposed: number } {
  return {
    name: 'test',
    disposed: 0,
    start: () => Promise.resolve(),
    drain: () => drain,
    async [Symbol.asyncDispose]() {
      this.disposed += 1;
    },
  };
}

test('a drained service is disposed of once its work has ended', async () => {
  const one = service(Promise.resolve());
  expect(await stop(one, 60_000, systemClock)).toBe('drained');
  expect(one.disposed).toBe(1);
});

test('work that does not end is cut at the deadline', async () => {
  const one = service(new Promise(() => undefined));
  expect(await stop(one, 5, systemClock)).toBe('forced');
  expect(one.disposed).toBe(1);
});
