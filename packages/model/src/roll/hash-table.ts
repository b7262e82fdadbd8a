/**
 * Numbers of records by the hash of a text, in memory that threads share.
 *
 * The texts themselves are not in it: whoever finds a record looks whether it is the one. Written once, read by all.
 */

/** Pairs of hash and record + 1; 0 is a slot that nothing is in. */
export type HashTable = Int32Array<SharedArrayBuffer>;

const MIN_SLOTS = 16;

/** With room for `count` records at half its size, so that a search ends soon. */
export function makeHashTable(count: number): HashTable {
  let slots = MIN_SLOTS;
  while (slots < 2 * count) slots *= 2;
  return new Int32Array(new SharedArrayBuffer(slots * 2 * Int32Array.BYTES_PER_ELEMENT));
}

export function enter(table: HashTable, hash: number, record: number): void {
  const last = table.length / 2 - 1;
  let slot = hash & last;
  while (table[2 * slot + 1] !== 0) slot = (slot + 1) & last;
  table[2 * slot] = hash;
  table[2 * slot + 1] = record + 1;
}

/** In the order in which they were entered; nearly always one or none. */
export function recordsAt(table: HashTable, hash: number): readonly number[] {
  const last = table.length / 2 - 1;
  const found: number[] = [];
  for (let slot = hash & last; ; slot = (slot + 1) & last) {
    const entered = table[2 * slot + 1] ?? 0;
    if (entered === 0) return found;
    if (table[2 * slot] === hash) found.push(entered - 1);
  }
}

/** FNV-1a, and then what makes every bit depend on all of them (the end of MurmurHash3). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
