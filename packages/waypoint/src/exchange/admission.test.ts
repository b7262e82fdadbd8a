import { describe, expect, test } from '@jest/globals';
import { Admission } from './admission.ts';

describe('admission', () => {
  test('lets in as many as there is room for, and says that all places are taken', () => {
    const admission = new Admission(2, 1);
    expect([admission.tryRequest('a'), admission.tryRequest('b'), admission.tryRequest('c')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(admission.report()).toEqual({
      requests: { taken: 2, max: 2, refused: { full: 1, share: 0 } },
      connections: { taken: 0, max: 1, refused: { full: 0, share: 0 } },
      lookups: { taken: 0, max: 256, refused: { full: 0, share: 0 } },
    });
    admission.endRequest('a');
    expect([admission.tryRequest('c'), admission.requests]).toEqual([true, 2]);
  });

  test('keeps what is left for others than who has most', () => {
    const admission = new Admission(1, 8);
    const greedy = () => admission.tryConnection('greedy');
    expect(Array.from({ length: 7 }, greedy)).toEqual([true, true, true, true, true, true, false]);
    expect(admission.report().connections.refused).toEqual({ full: 0, share: 1 });
    expect(admission.tryConnection('other')).toBe(true);
  });

  test('gives nobody more than a quarter of the lookups, whoever else asks', () => {
    const admission = new Admission(1, 1, 8);
    const { lookups } = admission;
    const take = (who: string) => lookups.tryTake(who);
    expect([take('slow'), take('slow'), take('slow')]).toEqual([true, true, false]);
    expect(['a', 'a', 'b', 'b', 'c', 'c', 'd'].map(take)).toEqual([
      true,
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
    expect(admission.report().lookups).toEqual({ taken: 8, max: 8, refused: { full: 1, share: 1 } });
    lookups.release('slow');
    expect([take('d'), take('slow')]).toEqual([true, false]);
  });
});
