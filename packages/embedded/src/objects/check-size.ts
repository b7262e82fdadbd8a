/** No object beyond the size that the store is made for. */
import { StatusError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { OBJECT_BYTES } from '../limits.ts';

/** @throws a 413. */
export function checkSize(object: JsonObject): void {
  const size = Buffer.byteLength(JSON.stringify(object));
  if (size > OBJECT_BYTES) {
    throw new StatusError(
      'RequestEntityTooLarge',
      `Request entity too large: the object has ${size} bytes, the limit is ${OBJECT_BYTES}`,
    );
  }
}
