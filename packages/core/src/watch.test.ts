import { expect, test } from '@jest/globals';
import { until, Watched } from './watch.ts';

test('listeners hear every change until disposed of', () => {
  const watched = new Watched(0);
  const heard: number[] = [];
  const subscription = watched.subscribe((value) => heard.push(value));
  watched.set(1);
  watched.set(2);
  subscription[Symbol.dispose]();
  watched.set(3);
  expect([heard, watched.value]).toEqual([[1, 2], 3]);
});

test('until resolves with the first value that is accepted', async () => {
  const watched = new Watched(0);
  const never = new AbortController().signal;
  expect(await until(watched, (value) => value === 0, never)).toBe(0);
  const later = until(watched, (value) => value > 1, never);
  watched.set(1);
  watched.set(2);
  expect(await later).toBe(2);
});

test('until rejects when it is aborted, before or while it waits', async () => {
  const watched = new Watched(0);
  const abort = new AbortController();
  const waiting = until(watched, (value) => value > 0, abort.signal);
  abort.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(until(watched, (value) => value > 0, abort.signal)).rejects.toThrow('enough');
});
