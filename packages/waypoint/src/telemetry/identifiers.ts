/** Identifiers of requests, traces and spans: random, made from a pool, so that one costs no system call. */
import { randomFillSync, randomUUID } from 'node:crypto';

export interface Identifiers {
  /** A UUID of version 4. */
  requestId(): string;
  /** 32 hexadecimal digits, not all 0. */
  traceId(): string;
  /** 16 hexadecimal digits, not all 0. */
  spanId(): string;
}

const POOL_BYTES = 4_096;

export function randomIdentifiers(): Identifiers {
  const pool = Buffer.alloc(POOL_BYTES);
  let used = POOL_BYTES;
  const digits = (bytes: number) => {
    if (used + bytes > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    used += bytes;
    // All 0 means "none": one digit makes it another.
    const text = pool.toString('hex', used - bytes, used);
    return /[^0]/.test(text) ? text : `${text.slice(1)}1`;
  };
  return { requestId: () => randomUUID(), traceId: () => digits(16), spanId: () => digits(8) };
}
