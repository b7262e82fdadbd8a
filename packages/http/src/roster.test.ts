import { describe, expect, test } from '@jest/globals';
import { NOWHERE, Roster } from './roster.ts';

class Member {
  place = NOWHERE;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }
}

function namesOf(roster: Roster<'place', Member>): number[] {
  return [...roster].map(({ name }) => name).sort((a, b) => a - b);
}

describe('Roster', () => {
  test('has whom a Set has', () => {
    let seed = 7;
    const roster = new Roster<'place', Member>('place');
    const model = new Set<Member>();
    const members = Array.from({ length: 50 }, (_, name) => new Member(name));
    for (let step = 0; step < 5_000; step++) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      const member = members[(seed >>> 8) % members.length];
      if (!member) continue;
      // Twice does as once.
      const act = seed % 3 === 0 ? 'delete' : 'add';
      roster[act](member);
      model[act](member);
      expect(roster.size).toBe(model.size);
    }
    expect(namesOf(roster)).toEqual([...model].map(({ name }) => name).sort((a, b) => a - b));
    expect(new Set(roster)).toEqual(model);
    for (const member of [...roster]) roster.delete(member);
    expect([roster.size, [...roster]]).toEqual([0, []]);
  });
});
