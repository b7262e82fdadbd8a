/**
 * The suite that every kind of collection passes, whoever implements it.
 *
 * A maker hands over a collection of strings that starts empty and shows, under each key, exactly what `change` was
 * told, once `settle` is through.
 */
import { describe, expect, test } from '@jest/globals';
import type { Collection } from '../collection.ts';

export interface Subject {
  readonly collection: Collection<string, string>;
  readonly change: (changes: readonly (readonly [string, string | undefined])[]) => void | Promise<void>;
  readonly settle: () => void | Promise<void>;
}

export function collectionContract(name: string, make: () => Subject | Promise<Subject>): void {
  describe(`${name} keeps the contract of a collection`, () => {
    const changed = async (
      subject: Subject,
      ...changes: readonly (readonly [string, string | undefined])[]
    ): Promise<void> => {
      await subject.change(changes);
      await subject.settle();
    };

    test('starts empty', async () => {
      const { collection, settle } = await make();
      await settle();
      expect([...collection.entries()]).toEqual([]);
      expect(collection.size).toBe(0);
    });

    test('shows what it holds in every way of asking', async () => {
      const subject = await make();
      await changed(subject, ['a', '1'], ['b', '2']);
      const { collection } = subject;
      expect(collection.get('a')).toBe('1');
      expect(collection.has('b')).toBe(true);
      expect(collection.has('c')).toBe(false);
      expect([...collection.keys()].sort()).toEqual(['a', 'b']);
      expect([...collection.values()].sort()).toEqual(['1', '2']);
      expect(collection.size).toBe(2);
    });

    test('its events, applied to what was there, give what is there', async () => {
      const subject = await make();
      await changed(subject, ['a', '1'], ['b', '2']);
      const mirror = new Map(subject.collection.entries());
      using _ = subject.collection.subscribe((events) => {
        for (const { key, previous, value } of events) {
          expect(mirror.get(key)).toBe(previous);
          if (value === undefined) mirror.delete(key);
          else mirror.set(key, value);
        }
        expect(new Map(subject.collection.entries())).toEqual(mirror);
      });
      await changed(subject, ['a', '3'], ['c', '4']);
      await changed(subject, ['b', undefined]);
      await changed(subject, ['b', '5'], ['a', undefined]);
      expect(Object.fromEntries(mirror)).toEqual({ b: '5', c: '4' });
    });

    test('says nothing when nothing changed', async () => {
      const subject = await make();
      await changed(subject, ['a', '1']);
      let batches = 0;
      using _ = subject.collection.subscribe(() => (batches += 1));
      await changed(subject, ['a', '1']);
      await changed(subject, ['unknown', undefined]);
      expect(batches).toBe(0);
    });

    test('a listener that left hears no more, and others still do', async () => {
      const subject = await make();
      const heard: string[] = [];
      const first = subject.collection.subscribe(() => heard.push('first'));
      using _ = subject.collection.subscribe(() => heard.push('second'));
      first[Symbol.dispose]();
      await changed(subject, ['a', '1']);
      expect(heard).toEqual(['second']);
    });
  });
}
