import { describe, expect, test } from '@jest/globals';
import type { Event } from './collection.ts';
import { StaticCollection } from './static.ts';
import { collectionContract } from './testing/contract.ts';

collectionContract('static', () => {
  const collection = new StaticCollection<string, string>({ name: 's' });
  return { collection, change: (changes) => collection.apply(changes), settle: () => undefined };
});

describe('StaticCollection', () => {
  test('replace is one batch that removes, changes and adds', () => {
    const collection = new StaticCollection({ name: 's', initial: Object.entries({ a: 1, b: 2 }) });
    const batches: (readonly Event<string, number>[])[] = [];
    using _ = collection.subscribe((events) => batches.push(events));
    collection.replace(Object.entries({ b: 3, c: 4 }));
    expect(batches).toEqual([
      [
        { key: 'a', previous: 1, value: undefined },
        { key: 'b', previous: 2, value: 3 },
        { key: 'c', previous: undefined, value: 4 },
      ],
    ]);
  });

  test('is synced when its owner says so', () => {
    const collection = new StaticCollection<string, number>({ name: 's', synced: false });
    expect(collection.synced.value).toBe(false);
    collection.sync();
    expect(collection.synced.value).toBe(true);
  });
});
