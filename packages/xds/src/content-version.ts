/** A resource's version from its content: equal bytes have equal versions, on every replica and after a restart. */
import { hash } from 'node:crypto';

const VERSION_HEX_DIGITS = 16;

export function contentVersion(value: Uint8Array): string {
  return hash('sha256', value, 'hex').slice(0, VERSION_HEX_DIGITS);
}
