/**
 * A set of objects that come and go with requests, in no order.
 *
 * No Set: its tables each point to the one that replaced them, so that once one of them is old, V8's collector of young
 * garbage takes all that follow, and the members in them, for alive. Here each member knows its place, which is free at
 * once when it leaves, and nothing that left is pointed at. Room once made is kept.
 */

/** The place of who is in no roster. */
export const NOWHERE = -1;

/** @typeParam Key - The property in which members keep their place, for rosters of one kind: one at a time. */
export class Roster<Key extends string, Member extends { [key in Key]: number }> {
  readonly #key: Key;
  readonly #members: (Member | undefined)[] = [];
  #size = 0;

  constructor(key: Key) {
    this.#key = key;
  }

  get size(): number {
    return this.#size;
  }

  /** Who is in it already stays. */
  add(member: Member): void {
    if (member[this.#key] !== NOWHERE) return;
    this.#put(member, this.#size);
    this.#size += 1;
  }

  /** Who is not in it is none the worse. */
  delete(member: Member): void {
    const place = member[this.#key];
    if (place === NOWHERE) return;
    this.#size -= 1;
    const last = this.#members[this.#size];
    this.#members[this.#size] = undefined;
    if (last && last !== member) this.#put(last, place);
    this.#leave(member);
  }

  /** Each member once. Nobody may come or leave meanwhile: who makes them leave takes a copy first. */
  *[Symbol.iterator](): IterableIterator<Member> {
    for (let place = 0; place < this.#size; place++) {
      const member = this.#members[place];
      if (member) yield member;
    }
  }

  #put(member: Member, place: number): void {
    this.#members[place] = member;
    const places: Record<string, number> = member;
    places[this.#key] = place;
  }

  #leave(member: Member): void {
    const places: Record<string, number> = member;
    places[this.#key] = NOWHERE;
  }
}
