import { expect, test } from '@jest/globals';
import { OPTIONS } from '../testing/worker-network.ts';
import { PodSockets } from './sockets.ts';

test('a pod that has stopped gets no sockets', () => {
  const sockets = new PodSockets(undefined, { ...OPTIONS, packetMark: undefined }, true, () => 0);
  const unable: unknown[] = [];
  sockets.close();
  expect(() => sockets.plain('127.0.0.1', 'any')).toThrow('the pod has stopped');
  expect(() => sockets.from('127.0.0.2', '127.0.0.1', 'any', (error) => unable.push(error))).toThrow(
    'the pod has stopped',
  );
  expect(unable).toEqual([]);
});
