/**
 * HPACK's dynamic table: the newest field has the lowest index, the oldest is evicted first (RFC 7541 §2.3.2, §4).
 *
 * A ring of strings. A field costs its octets plus 32; one larger than the whole table empties it.
 */

const FIELD_OVERHEAD_BYTES = 32;
const INITIAL_SLOTS = 16;

export class DynamicTable {
  #names: string[] = new Array<string>(INITIAL_SLOTS).fill('');
  #values: string[] = new Array<string>(INITIAL_SLOTS).fill('');
  /** How many fields were ever added; the newest is number `#added - 1`. */
  #added = 0;
  #count = 0;
  #bytes = 0;
  #maxBytes: number;
  readonly #onEvicted: ((name: string, value: string) => void) | undefined;

  constructor(maxBytes: number, onEvicted?: (name: string, value: string) => void) {
    this.#maxBytes = maxBytes;
    this.#onEvicted = onEvicted;
  }

  get length(): number {
    return this.#count;
  }

  /** The number that the next field gets; `added - 1 - n` is the position of field number n. */
  get added(): number {
    return this.#added;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evictTo(maxBytes);
  }

  /** Whether the field is in the table afterwards. */
  add(name: string, value: string): boolean {
    const bytes = fieldBytes(name, value);
    this.#evictTo(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return false;
    if (this.#count === this.#names.length) this.#grow();
    const slot = this.#added % this.#names.length;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#added++;
    this.#count++;
    this.#bytes += bytes;
    return true;
  }

  /** Name at `position` (0: the newest); only for positions below `length`. */
  nameAt(position: number): string {
    return this.#names[(this.#added - 1 - position) % this.#names.length] ?? '';
  }

  valueAt(position: number): string {
    return this.#values[(this.#added - 1 - position) % this.#values.length] ?? '';
  }

  #evictTo(bytes: number): void {
    while (this.#count > 0 && this.#bytes > bytes) {
      const slot = (this.#added - this.#count) % this.#names.length;
      const name = this.#names[slot] ?? '';
      const value = this.#values[slot] ?? '';
      this.#bytes -= fieldBytes(name, value);
      this.#onEvicted?.(name, value);
      this.#names[slot] = '';
      this.#values[slot] = '';
      this.#count--;
    }
  }

  #grow(): void {
    const slots = this.#names.length * 2;
    const names = new Array<string>(slots).fill('');
    const values = new Array<string>(slots).fill('');
    for (let number = this.#added - this.#count; number < this.#added; number++) {
      names[number % slots] = this.#names[number % this.#names.length] ?? '';
      values[number % slots] = this.#values[number % this.#values.length] ?? '';
    }
    this.#names = names;
    this.#values = values;
  }
}

/** What a field counts for, in the table and in SETTINGS_MAX_HEADER_LIST_SIZE. Strings are Latin-1: a char, an octet. */
export function fieldBytes(name: string, value: string): number {
  return name.length + value.length + FIELD_OVERHEAD_BYTES;
}
