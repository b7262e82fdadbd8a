import { describe, expect, test } from '@jest/globals';
import { TLS_BULK_BYTES, TLS_READ_BYTES } from '../limits.ts';
import { Landing } from './landing.ts';

/** Reads as a handle does: into the buffer it was last told, counting upwards. */
class Reader {
  readonly delivered: Buffer[] = [];
  readonly landing: Landing;
  keeps = false;
  #into: Buffer;
  #next = 0;

  constructor() {
    this.landing = new Landing((bytes) => {
      this.delivered.push(this.keeps ? bytes : Buffer.from(bytes));
      if (this.keeps) this.landing.keep();
    });
    this.#into = this.landing.first;
  }

  read(count: number): void {
    expect(this.#into.length).toBeGreaterThanOrEqual(count);
    for (let i = 0; i < count; i++) this.#into[i] = this.#next++ % 251;
    this.#into = this.landing.landed(count) ?? this.#into;
  }

  /** Whether everything read so far was delivered once, in order, and is still as it was. */
  get isWhole(): boolean {
    return Buffer.concat(this.delivered).every((byte, i) => byte === i % 251);
  }

  get total(): number {
    return this.delivered.reduce((sum, { length }) => sum + length, 0);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('decrypted bytes', () => {
  test.each([{ keeps: false }, { keeps: true }])(
    'are handed on whole and in order (kept: $keeps)',
    async ({ keeps }) => {
      const reader = new Reader();
      reader.keeps = keeps;
      const sizes = [5, TLS_READ_BYTES, TLS_READ_BYTES, 100, ...Array<number>(40).fill(TLS_READ_BYTES), 7, 7];
      let sum = 0;
      for (let round = 0; round < 20; round++) {
        for (const [i, size] of sizes.entries()) {
          reader.read(size);
          sum += size;
          if ((i + round) % 5 === 0) await turn();
        }
      }
      await turn();
      expect(reader.total).toBe(sum);
      expect(reader.isWhole).toBe(true);
    },
  );

  test('are handed on at once while little comes, and together while much does', async () => {
    const reader = new Reader();
    reader.read(10);
    expect(reader.delivered).toHaveLength(1);
    reader.read(TLS_READ_BYTES);
    for (let i = 0; i < 4; i++) reader.read(TLS_READ_BYTES);
    expect(reader.delivered).toHaveLength(2);
    await turn();
    expect(reader.delivered.map(({ length }) => length)).toEqual([10, TLS_READ_BYTES, 4 * TLS_READ_BYTES]);
    reader.read(20);
    expect(reader.delivered.at(-1)).toHaveLength(20);
    for (let i = 0; i < 2 * (TLS_BULK_BYTES / TLS_READ_BYTES); i++) reader.read(TLS_READ_BYTES);
    expect(reader.total).toBeGreaterThan(TLS_BULK_BYTES);
  });
});
