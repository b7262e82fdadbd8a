import { describe, expect, test } from '@jest/globals';
import { StreamTable } from './stream-table.ts';

describe('StreamTable', () => {
  test('has what was added and not deleted, as a Map has, whatever the order', () => {
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const table = new StreamTable<{ readonly id: number }>();
    const model = new Map<number, { readonly id: number }>();
    for (let step = 0; step < 20_000; step++) {
      // Numbers far apart that share a place, and neighbours that stand in each other's.
      const id = 1 + 2 * (random(40) + 1_024 * random(4));
      const known = model.get(id);
      expect(table.get(id)).toBe(known);
      if (known) {
        table.delete(id);
        model.delete(id);
      } else if (model.size < 60) {
        const stream = { id };
        table.add(stream);
        model.set(id, stream);
      }
      expect(table.size).toBe(model.size);
      if (step % 100 === 0) for (const [other, stream] of model) expect(table.get(other)).toBe(stream);
    }
    expect(new Set(table.values())).toEqual(new Set(model.values()));
  });

  test('knows nothing of a number that was never used', () => {
    const table = new StreamTable<{ readonly id: number }>();
    table.delete(1);
    expect([table.get(1), table.size, table.values()]).toEqual([undefined, 0, []]);
  });

  test('values stay as they were while streams are closed', () => {
    const table = new StreamTable<{ readonly id: number }>();
    for (const id of [1, 3, 5]) table.add({ id });
    const seen: number[] = [];
    for (const { id } of table.values()) {
      seen.push(id);
      table.delete(id);
    }
    expect([seen.sort((a, b) => a - b), table.size]).toEqual([[1, 3, 5], 0]);
  });
});
