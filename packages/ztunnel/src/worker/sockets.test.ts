import { closeSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { QUEUED_BYTES_PER_POD, QUEUED_BYTES_PER_PROCESS } from '@ambit/hbone/limits';
import { OPTIONS } from '../testing/worker-network.ts';
import { shareOf } from './limits.ts';
import { PodSockets } from './sockets.ts';

/** No socket can bear it: which link it is on is not said. */
const UNBEARABLE = 'fe80::1';

test('where clients must be seen as they are, nobody is seen as the pod', () => {
  const unable: unknown[] = [];
  const from = (originalSource: 'must' | 'try') =>
    new PodSockets(undefined, { ...OPTIONS, packetMark: undefined, originalSource }, true, () => 0).from(
      UNBEARABLE,
      '::1',
      (error) => unable.push(error),
    );
  expect(() => from('must')).toThrow();
  expect(unable).toEqual([]);
  closeSync(from('try').fd);
  expect(unable).toHaveLength(1);
});

test('workers share what the process may hold, and each can hold a whole window', () => {
  const window = OPTIONS.http2.streamWindowBytes;
  expect(2 * shareOf(QUEUED_BYTES_PER_POD, 2, window)).toBe(QUEUED_BYTES_PER_POD);
  expect(4 * shareOf(QUEUED_BYTES_PER_PROCESS, 4, window)).toBe(QUEUED_BYTES_PER_PROCESS);
  expect(shareOf(QUEUED_BYTES_PER_POD, 64, window)).toBe(2 * window);
});

test('a pod that has stopped gets no sockets', () => {
  const sockets = new PodSockets(undefined, { ...OPTIONS, packetMark: undefined }, true, () => 0);
  const unable: unknown[] = [];
  sockets.close();
  expect(() => sockets.plain('127.0.0.1')).toThrow('the pod has stopped');
  expect(() => sockets.from('127.0.0.2', '127.0.0.1', (error) => unable.push(error))).toThrow(
    'the pod has stopped',
  );
  expect(unable).toEqual([]);
});
