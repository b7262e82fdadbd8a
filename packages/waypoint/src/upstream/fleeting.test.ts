import { describe, expect, test } from '@jest/globals';
import { FLEETING_DESTINATIONS, FLEETING_KEPT_MS, FLEETING_LOOK_MS, IDENTITY_SHARE } from '../limits.ts';
import { Fleeting } from './fleeting.ts';

const SHARE = FLEETING_DESTINATIONS * IDENTITY_SHARE;
const NOW_MS = 1e6;

class Counted {
  static looks = 0;
  busy = false;

  get isIdle(): boolean {
    Counted.looks += 1;
    return !this.busy;
  }
}

function places() {
  const fleeting = new Fleeting<Counted>();
  const held = new Map<string, Counted>();
  const forget = (key: string) => {
    held.delete(key);
    fleeting.delete(key);
  };
  /** Whether there was room for it, or it was there. */
  const name = (key: string, client: string, nowMs = NOW_MS): boolean => {
    if (held.has(key)) {
      fleeting.used(key, client, nowMs);
      return true;
    }
    if (!fleeting.hasRoom(client, nowMs, forget)) return false;
    const one = new Counted();
    held.set(key, one);
    fleeting.add(key, one, client);
    return true;
  };
  const nameMany = (count: number, client: string, nowMs = NOW_MS) => {
    for (let n = 0; n < count; n++) name(`${client}-${nowMs}-${n}`, client, nowMs);
  };
  return { held, name, nameMany };
}

describe('destinations that clients name', () => {
  test('are not driven out by who named them first while others use them', () => {
    const { held, name, nameMany } = places();
    for (const key of ['bob-uses', 'bob-used']) name(key, 'alice');
    name('bob-used', 'bob', NOW_MS - FLEETING_KEPT_MS);
    name('bob-uses', 'bob');
    nameMany(SHARE, 'alice');
    expect([held.has('bob-uses'), held.has('bob-used')]).toEqual([true, false]);
    expect(held.size).toBeLessThanOrEqual(SHARE);
  });

  test('are not driven out by who has used them, too', () => {
    const { held, name, nameMany } = places();
    name('of-bob', 'bob');
    name('of-bob', 'alice');
    nameMany(SHARE, 'alice');
    nameMany(SHARE, 'alice', NOW_MS + FLEETING_LOOK_MS);
    expect(held.has('of-bob')).toBe(true);
  });

  test('hold no place against others because two clients use each other’s', () => {
    const { held, name, nameMany } = places();
    for (const client of ['alice', 'carol']) nameMany(SHARE, client);
    for (const key of held.keys()) name(key, key.startsWith('alice') ? 'carol' : 'alice');
    expect(held.size).toBe(FLEETING_DESTINATIONS);
    expect(name('further', 'alice')).toBe(false);
    expect(name('of-bob', 'bob')).toBe(true);
  });

  test('are looked through once in a while for one that may go, whether there was one or not', () => {
    const { held, name, nameMany } = places();
    nameMany(SHARE, 'alice');
    for (const one of held.values()) one.busy = true;
    const free = held.values().next().value;
    if (free) free.busy = false;
    Counted.looks = 0;
    expect(name('one-more', 'alice')).toBe(true);
    for (let n = 0; n < 100; n++) expect(name(`none-${n}`, 'alice')).toBe(false);
    expect(Counted.looks).toBe(SHARE);
    expect(name('later', 'alice', NOW_MS + FLEETING_LOOK_MS)).toBe(true);
  });
});
