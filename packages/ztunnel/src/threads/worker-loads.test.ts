import { describe, expect, test } from '@jest/globals';
import { betterWorker, type LoadKind, sharedLoads, WorkerLoads } from './worker-loads.ts';

describe('betterWorker', () => {
  const cases: Record<
    string,
    { counts: readonly number[]; own: number; kind: LoadKind; better: number | undefined }
  > = {
    'nobody has anything': { counts: [0, 0], own: 0, kind: 'tunnels', better: undefined },
    'a second tunnel goes where there is none': { counts: [1, 0], own: 0, kind: 'tunnels', better: 1 },
    'a tunnel stays where there are fewer': { counts: [1, 0], own: 1, kind: 'tunnels', better: undefined },
    'the one with least of several': { counts: [3, 2, 1, 1], own: 0, kind: 'tunnels', better: 2 },
    'one connection more is not worth a move': {
      counts: [5, 4],
      own: 0,
      kind: 'connections',
      better: undefined,
    },
    'two connections more are': { counts: [5, 3], own: 0, kind: 'connections', better: 1 },
    'of many, an eighth more': { counts: [1000, 876], own: 0, kind: 'connections', better: undefined },
    'of many, more than an eighth': { counts: [1000, 875], own: 0, kind: 'connections', better: 1 },
    'a single worker': { counts: [9], own: 0, kind: 'tunnels', better: undefined },
  };
  test.each(Object.entries(cases))('%s', (_, { counts, own, kind, better }) => {
    expect(betterWorker(counts, own, kind)).toBe(better);
  });
});

test('workers see each other’s numbers, kind by kind', () => {
  const memory = sharedLoads(2);
  const [first, second] = [new WorkerLoads(memory, 0), new WorkerLoads(memory, 1)];
  first.add('tunnels', 1);
  second.add('connections', 1);
  second.add('connections', 1, 0);
  second.add('connections', -1);
  expect([first.of('tunnels'), first.of('connections')]).toEqual([
    [1, 0],
    [1, 0],
  ]);
});
